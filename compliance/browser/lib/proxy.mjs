// A proxy that lets nothing through and remembers who asked: the proof that a page stays at home. Browsers never send
// what is for loopback through a proxy, so whatever arrives here was meant for somewhere else.

import { once } from 'node:events';
import http from 'node:http';

/** Where Chromium goes on errands of its own, whatever page is open and whatever it was told. */
const ERRANDS = new Set([
  'accounts.google.com',
  'clients2.google.com',
  'content-autofill.googleapis.com',
  'optimizationguide-pa.googleapis.com',
  'redirector.gvt1.com',
  'update.googleapis.com',
  'www.google.com',
]);

export async function startProxy() {
  const hosts = new Set();
  const note = (host) => ERRANDS.has(host) || hosts.add(host);
  const server = http.createServer((request, response) => {
    note(new URL(request.url).hostname);
    response.writeHead(403).end();
  });
  server.on('connect', (request, socket) => {
    note(request.url.replace(/:\d+$/, ''));
    socket.on('error', () => {});
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { hosts, url: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() };
}
