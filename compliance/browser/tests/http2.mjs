// The page over HTTPS, and its WebSocket in the same HTTP/2 connection: told by the browser and counted by the server.
// Messages are compressed. With HTTP/2 turned off the same server speaks HTTP/1.1, and the same counters say so.

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';

import { launch } from '../lib/browser.mjs';
import { makeCertificate } from '../lib/certificate.mjs';
import { until } from '../lib/check.mjs';
import { pair } from '../lib/pair.mjs';
import { Trunkline } from '../lib/trunkline.mjs';

const PICTURE = fileURLToPath(new URL('../../out/browser/http2.png', import.meta.url));

/** What turns HTTP/2 off altogether. */
const WITHOUT = {
  chromium: { flags: ['--disable-http2'] },
  firefox: { preferences: { 'network.http.http2.enabled': false } },
};

export async function http2Tests({ name, test }) {
  const certificate = await makeCertificate();
  const server = await Trunkline.start('serve', { certificate });
  const open = async () => Object.fromEntries(await server.metric('trunkline_websockets'));
  const handshakes = async () => (await server.metric('trunkline_tls_handshakes_total')).get('outcome="ok"');
  const [http2, http1] = ['http="2",deflate="on"', 'http="1.1",deflate="on"'];
  const none = () => until('all sockets are closed', async () => Object.values(await open()).every((count) => count === 0));

  /** Runs with a browser of its own, whose connections are no other test's. */
  const browse = async (options, run) => {
    const browser = await launch(name, { certificate, ...options });
    try {
      await run(browser);
    } finally {
      await browser.close();
    }
  };

  await test("a page's WebSocket runs in the HTTP/2 connection that brought the page, and compresses", () =>
    browse({}, async (browser) => {
      const page = await browser.newPage();
      await page.goto(server.url);
      assert.equal(await page.evaluate(protocolOfPage), 'h2');
      // Each look at the metrics is a handshake of its own.
      const before = await handshakes();
      const { extensions, reply } = await page.evaluate(ping);
      assert.match(extensions, /^permessage-deflate/);
      assert.match(reply, /"id":1,"ok":/);
      assert.deepEqual(await open(), {
        'http="2",deflate="on"': 1,
        'http="2",deflate="off"': 0,
        'http="1.1",deflate="on"': 0,
        'http="1.1",deflate="off"': 0,
      });
      assert.equal((await handshakes()) - before, 2, 'two looks at the metrics, and no connection for the socket');
      await page.close();
      await none();
    }));

  await test('two windows talk over HTTP/2, and what one says is too long for one frame of it', () =>
    browse({}, (browser) =>
      pair({ browser, server }, 'http2', async (alva, bruno) => {
        assert.equal((await open())[http2], 2);
        await alva.say('hello over HTTP/2');
        await bruno.heard('hello over HTTP/2');
        const long = Array.from({ length: 3_000 }, (_, i) => `line ${i * 7919}`).join(' ');
        await bruno.paste(long);
        await alva.heard(long);
        await alva.say('and it goes on');
        await bruno.heard('and it goes on');
        if (name === 'chromium') await bruno.screenshot(PICTURE);
      })).then(none));

  await test('with HTTP/2 turned off the same counters see HTTP/1.1, compressed too', () =>
    browse(WITHOUT[name], async (browser) => {
      const page = await browser.newPage();
      await page.goto(server.url);
      assert.equal(await page.evaluate(protocolOfPage), 'http/1.1');
      const { extensions, reply } = await page.evaluate(ping);
      assert.match(extensions, /^permessage-deflate/);
      assert.match(reply, /"id":1,"ok":/);
      const counted = await open();
      assert.deepEqual([counted[http2], counted[http1]], [0, 1]);
      await page.close();
      await none();
    }));

  await test('a server that stops says so on every stream, and the windows come back', () =>
    browse({}, (browser) =>
      pair({ browser, server }, 'http2-stop', async (alva, bruno) => {
        await server.terminate();
        await alva.shows('The hub is going away');
        await server.restart();
        await alva.live();
        await bruno.live();
        await alva.say('good morning');
        await bruno.heard('good morning');
        alva.forgiveServerAway();
        bruno.forgiveServerAway();
      })));

  await server.stop();
  await certificate.remove();
}

/** Runs in the page. */
function protocolOfPage() {
  return performance.getEntriesByType('navigation')[0].nextHopProtocol;
}

/** Runs in the page: comes in with a ticket, and waits for the answer to a ping. The socket stays open. */
async function ping() {
  const body = JSON.stringify({ user: 'Alva' });
  const minted = await fetch('/dev/ticket', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
  const { ticket } = await minted.json();
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`wss://${location.host}/connect?ticket=${ticket}`, ['hub.json.1']);
    socket.onopen = () => socket.send(JSON.stringify({ id: 1, ping: {} }));
    socket.onmessage = ({ data }) => {
      if (JSON.parse(data).id === 1) resolve({ extensions: socket.extensions, reply: data });
    };
    socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
    setTimeout(() => reject(new Error('no answer within 30 s')), 30_000);
  });
}
