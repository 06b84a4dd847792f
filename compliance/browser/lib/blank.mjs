// An empty page on loopback, for tests that need nothing but a browser's WebSocket. The demo page will not do: its policy
// lets it talk to its own origin alone. Neither will about:blank: Chromium keeps pages from nowhere off loopback.

import { once } from 'node:events';
import http from 'node:http';

/** `onUpgrade(socket, request)` gets what the page asks to upgrade; without it that is refused. */
export async function startBlank(onUpgrade = (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')) {
  const server = http.createServer((_, response) => {
    response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' });
    response.end('<!doctype html><title>blank</title><link rel="icon" href="data:,">');
  });
  server.on('upgrade', (request, socket) => onUpgrade(socket, request));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  return { port, url: `http://127.0.0.1:${port}/`, stop: () => server.close() };
}
