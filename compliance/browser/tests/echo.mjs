// A page talks to `trunkline echo` with nothing but the browser's WebSocket: large messages, text and
// binary. Chromium sends 1 MiB in nine fragments, Firefox in one frame.

import assert from 'node:assert/strict';

import { startBlank } from '../lib/blank.mjs';

const MIB = 1024 * 1024;

export async function echoTests({ test, browser, echo }) {
  const blank = await startBlank();
  const url = `ws://127.0.0.1:${echo.port}/`;

  for (const kind of ['text', 'binary']) {
    await test(`1 MiB of ${kind} comes back as it went`, () =>
      inPage(browser, blank, async (page) => {
        const answer = await page.evaluate(echoOnce, url, kind, MIB);
        assert.deepEqual(answer, { same: true, length: MIB, code: 1000, clean: true });
      }));
  }

  await test('a close with code and reason is answered with the same code', () =>
    inPage(browser, blank, async (page) => {
      const answer = await page.evaluate(closeWith, url, 4321, 'grüße');
      assert.deepEqual(answer, { code: 4321, clean: true });
    }));

  blank.stop();
}

async function inPage(browser, blank, run) {
  const page = await browser.newPage();
  try {
    await page.goto(blank.url);
    await run(page);
  } finally {
    await page.close();
  }
}

/** Runs in the page. The content is of every byte value, or of characters of one to four bytes. */
function echoOnce(url, kind, bytes) {
  const text = () => {
    const unit = 'a\u00e9\u20ac\u{1f600} line\n';
    const unitBytes = new TextEncoder().encode(unit).length;
    return unit.repeat(Math.floor(bytes / unitBytes)) + 'x'.repeat(bytes % unitBytes);
  };
  const message = kind === 'text' ? text() : Uint8Array.from({ length: bytes }, (_, i) => (i * 31 + (i >> 8)) & 255);
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    let outcome = { same: false, length: 0 };
    socket.onopen = () => socket.send(message);
    socket.onmessage = ({ data }) => {
      if (kind === 'text') {
        outcome = { same: data === message, length: new TextEncoder().encode(data).length };
      } else {
        const back = new Uint8Array(data);
        outcome = { same: back.every((byte, i) => byte === message[i]), length: back.length };
      }
      socket.close(1000);
    };
    socket.onclose = ({ code, wasClean }) => resolve({ ...outcome, code, clean: wasClean });
    setTimeout(() => reject(new Error('no echo within 30 s')), 30_000);
  });
}

/** Runs in the page. */
function closeWith(url, code, reason) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.onopen = () => socket.close(code, reason);
    socket.onclose = (event) => resolve({ code: event.code, clean: event.wasClean });
    setTimeout(() => reject(new Error('no close within 30 s')), 30_000);
  });
}
