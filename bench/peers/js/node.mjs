// Echo on Node's `ws`, with its optional native `bufferutil`.
//
//   node node.mjs HOST:PORT [deflate]

import { WebSocketServer } from 'ws'

const [host, port] = process.argv[2].split(':')
const server = new WebSocketServer({
  host, port, maxPayload: 16 << 20, backlog: 1024, perMessageDeflate: process.argv[3] === 'deflate' && { threshold: 0 },
})
server.on('listening', () => console.log(`listening on ws://${host}:${server.address().port}`))
server.on('connection', socket => {
  socket.on('message', (data, binary) => socket.send(data, { binary }))
  socket.on('error', () => {})
})
