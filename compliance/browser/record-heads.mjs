// Records the request heads that browsers really send for `new WebSocket`, byte for byte, as fixtures of the handshake
// tests. Run by hand when a browser has changed:
//
//   node compliance/browser/record-heads.mjs [chromium|firefox]...

import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import net from 'node:net';

import { NAMES, launch } from './lib/browser.mjs';

const FIXTURES = new URL('../../crates/websocket/tests/fixtures/', import.meta.url);
const HEAD_MOST = 16 * 1024;
const PAGE = '<!doctype html><title>blank</title><link rel="icon" href="data:,">';

process.env.CHROMIUM ??= '/usr/bin/chromium';
process.env.FIREFOX ??= '/usr/bin/firefox-esr';

const chosen = process.argv.slice(2);
await mkdir(FIXTURES, { recursive: true });
for (const name of chosen.length > 0 ? chosen : NAMES) {
  const head = await record(name);
  const file = new URL(`request_${name}.http`, FIXTURES);
  await writeFile(file, head);
  console.log(`${file.pathname}\n${head.toString('latin1').replaceAll('\r\n', '\n')}`);
}

/** The head of the first request that asks for an upgrade, as it came off the socket. */
async function record(name) {
  const heads = [];
  const server = net.createServer((socket) => serve(socket, heads));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `127.0.0.1:${server.address().port}`;
  const browser = await launch(name);
  try {
    const page = await browser.newPage();
    await page.goto(`http://${origin}/`);
    await page.evaluate(
      (url) => new Promise((resolve) => (new WebSocket(url, ['hub.json.1']).onclose = resolve)),
      `ws://${origin}/connect`,
    );
  } finally {
    await browser.close();
    server.close();
  }
  const upgrade = heads.find((head) => /^upgrade: websocket\r$/im.test(head.toString('latin1')));
  if (!upgrade) throw new Error(`${name} asked for no upgrade`);
  return upgrade;
}

/** Answers the page to whoever asks for it, and refuses the upgrade: its head is all we want. */
function serve(socket, heads) {
  let bytes = Buffer.alloc(0);
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    const end = bytes.indexOf('\r\n\r\n');
    if (end < 0) return bytes.length > HEAD_MOST && socket.destroy();
    const head = bytes.subarray(0, end + 4);
    heads.push(head);
    const upgrade = /^upgrade:/im.test(head.toString('latin1'));
    const status = upgrade ? '400 Bad Request' : '200 OK';
    const body = upgrade ? '' : PAGE;
    socket.end(
      `HTTP/1.1 ${status}\r\nContent-Type: text/html\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    );
  });
}
