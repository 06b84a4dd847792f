// Echo on Bun, which embeds uWebSockets; that collects what is sent within one turn by itself.
//
//   bun bun.mjs HOST:PORT [shared|dedicated]      which compressor, if one is agreed on

const [hostname, port] = process.argv[2].split(':')
const compress = process.argv[3]
const server = Bun.serve({
  hostname,
  port: Number(port),
  fetch: (request, server) => server.upgrade(request) ? undefined : new Response('', { status: 400 }),
  websocket: {
    maxPayloadLength: 16 << 20,
    backpressureLimit: 64 << 20,
    idleTimeout: 120,
    perMessageDeflate: compress ? { compress, decompress: compress } : false,
    message: (socket, message) => { socket.send(message, compress !== undefined) },
  },
})
console.log(`listening on ws://${hostname}:${server.port}`)
