// A relay on loopback whose connections can be cut, as a network does it: without a word to either end.

import { once } from 'node:events';
import net from 'node:net';

export async function startRelay(port) {
  const open = new Set();
  const server = net.createServer((near) => {
    const far = net.connect(port, '127.0.0.1');
    for (const [from, to] of [[near, far], [far, near]]) {
      open.add(from);
      from.on('data', (bytes) => to.write(bytes)).on('end', () => to.end()).on('error', () => to.destroy());
      from.on('close', () => open.delete(from) && to.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => open.forEach((socket) => socket.destroy());
  return { url: `http://127.0.0.1:${server.address().port}/`, cut, stop: () => (cut(), server.close()) };
}
