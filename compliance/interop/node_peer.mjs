// The Node side of the game in README.md, on the `ws` package.
//
//   node node_peer.mjs server            prints `listening on ws://127.0.0.1:PORT`
//   node node_peer.mjs client URL SCENARIO
//
// With `server-http2` and `client-http2` in their place each WebSocket is a stream of Node's own HTTP/2 (RFC 8441), by prior knowledge.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2 from 'node:http2'
import WebSocket, { WebSocketServer } from 'ws'

const SIZES = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20]
const CLOSES = [[1000, 'done'], [3000, ''], [4999, 'ünïcödé \u{1f9f6}']]
const CLOSED = [[1001, 'going'], [3001, ''], [4998, 'z\u0301 中文']]

// Equal messages in a row, so that a window that is carried over is used; what does not compress; nothing; longer than any window.
const COMPRESSIBLE = ['', 'x', ...Array(3).fill('{"user": "ünïcödé", "text": "hello hello hello"}'),
  Buffer.from(Array.from({ length: 1024 }, (_, n) => n % 256)), 'to and fro '.repeat(20000), Buffer.alloc(1 << 20)]
const DEFLATE_OFFERS = [{}, { clientMaxWindowBits: 9, serverMaxWindowBits: 9, clientNoContextTakeover: true, serverNoContextTakeover: true }]

function server() {
  const listener = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    perMessageDeflate: { threshold: 0 },
    handleProtocols: (offered) => (offered.has('interop') ? 'interop' : false),
  })
  listener.on('listening', () => console.log(`listening on ws://127.0.0.1:${listener.address().port}`))
  listener.on('connection', (socket, request) => serve(socket, request.url))
}

function serve(socket, path) {
  socket.on('message', (data, isBinary) => HANDLERS[path](socket, data, isBinary))
  socket.on('close', (code, reason) => console.log(`ended ${path} ${code} ${reason}`))
  socket.on('error', (error) => console.log(`error ${path} ${error.message}`))
}

function http2Server() {
  const listener = http2.createServer({ settings: { enableConnectProtocol: true } })
  listener.on('stream', (stream, headers) => {
    assert.equal(headers[':protocol'], 'websocket')
    const offered = (headers['sec-websocket-protocol'] ?? '').split(/, */)
    stream.respond({ ':status': 200, ...(offered.includes('interop') && { 'sec-websocket-protocol': 'interop' }) })
    serve(overStream(stream, true), headers[':path'])
  })
  listener.listen(0, '127.0.0.1', () => console.log(`listening on ws://127.0.0.1:${listener.address().port}`))
}

// `ws` speaks HTTP/1.1 alone; its frames do not care what carries them.
function overStream(stream, isServer) {
  const socket = new WebSocket(null, undefined, { autoPong: true })
  socket._isServer = isServer
  socket.setSocket(stream, Buffer.alloc(0), { maxPayload: 2 << 20, skipUTF8Validation: false, allowSynchronousEvents: true })
  return socket
}

let session // of the HTTP/2 client: every WebSocket of a scenario is one of its streams

async function openHttp2(url, subprotocols = []) {
  const { origin, pathname } = new URL(url.replace(/^ws/, 'http'))
  if (!session) {
    session = http2.connect(origin)
    await once(session, 'remoteSettings')
    assert.equal(session.remoteSettings.enableConnectProtocol, true)
  }
  const stream = session.request({
    ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http', ':path': pathname, 'sec-websocket-version': '13',
    ...(subprotocols.length > 0 && { 'sec-websocket-protocol': subprotocols.join(', ') }),
  })
  const [headers] = await once(stream, 'response')
  assert.equal(headers[':status'], 200)
  const socket = overStream(stream, false)
  Object.defineProperty(socket, 'protocol', { value: headers['sec-websocket-protocol'] ?? '' })
  return socket
}

const HANDLERS = {
  '/': (socket, data, isBinary) => socket.send(data, { binary: isBinary }),
  '/fragments': (socket, data, isBinary) => sendInFragments(socket, data, isBinary, 1000),
  '/pinged': (socket, data) => {
    socket.on('pong', (payload) => socket.send(`pong: ${payload}`))
    socket.ping(data)
  },
  '/closed': (socket, data) => {
    const [, code, reason] = /^(\d+) (.*)$/s.exec(data)
    socket.close(Number(code), reason)
  },
}

function sendInFragments(socket, data, isBinary, size) {
  for (let at = 0; at < data.length; at += size) {
    socket.send(data.subarray(at, at + size), { binary: isBinary, fin: at + size >= data.length })
  }
  if (data.length === 0) socket.send(data, { binary: isBinary })
}

const SCENARIOS = {
  async sizes(url) {
    const socket = await open(url + '/')
    for (const size of SIZES) {
      for (const message of ['x'.repeat(size), Buffer.from(Array.from({ length: size }, (_, n) => n % 251))]) {
        socket.send(message)
        await expectMessage(socket, message)
      }
    }
    socket.close()
  },

  async fragments(url) {
    const socket = await open(url + '/')
    const inParts = [['a', '', 'ü', ''], Array(1000).fill('x'.repeat(1000)), [Buffer.of(), Buffer.of(1), Buffer.alloc(65536), Buffer.of()]]
    for (const parts of inParts) {
      parts.forEach((part, n) => socket.send(part, { fin: n === parts.length - 1 }))
      await expectMessage(socket, typeof parts[0] === 'string' ? parts.join('') : Buffer.concat(parts))
    }
    socket.close()
  },

  async ping(url) {
    const socket = await open(url + '/')
    for (const payload of [Buffer.of(), Buffer.of(0, 255), Buffer.alloc(125, 'x')]) {
      socket.ping(payload)
      const [answer] = await once(socket, 'pong')
      assert.deepEqual(answer, payload)
    }
    socket.close()
  },

  async pinged(url) {
    const socket = await open(url + '/pinged')
    socket.send('are you there?')
    await expectMessage(socket, 'pong: are you there?')
    socket.close()
  },

  async close(url) {
    for (const [code, reason] of CLOSES) {
      const socket = await open(url + '/')
      socket.close(code, reason)
      const [answered] = await once(socket, 'close')
      assert.equal(answered, code)
    }
  },

  async closed(url) {
    for (const [code, reason] of CLOSED) {
      const socket = await open(url + '/closed')
      socket.send(`${code} ${reason}`)
      const [gotCode, gotReason] = await once(socket, 'close')
      assert.deepEqual([gotCode, gotReason.toString()], [code, reason])
    }
  },

  async deflate(url) {
    for (const offer of DEFLATE_OFFERS) {
      const socket = await open(url + '/', [], { perMessageDeflate: { threshold: 0, ...offer } })
      assert.match(socket.extensions, /^permessage-deflate/)
      for (const message of COMPRESSIBLE) {
        socket.send(message)
        await expectMessage(socket, message)
      }
      socket.close()
    }
  },

  async subprotocol(url) {
    const socket = await open(url + '/', ['other', 'interop'])
    assert.equal(socket.protocol, 'interop')
    socket.close()
  },
}

async function open(url, subprotocols, options) {
  if (overHttp2) return openHttp2(url, subprotocols)
  const socket = new WebSocket(url, subprotocols, options)
  await once(socket, 'open')
  return socket
}

async function expectMessage(socket, expected) {
  const [data, isBinary] = await once(socket, 'message')
  assert.equal(isBinary, typeof expected !== 'string')
  assert.ok(data.equals(Buffer.from(expected)), `${data.length} bytes came back for ${expected.length}`)
}

const [role, url, scenario] = process.argv.slice(2)
const overHttp2 = role.endsWith('-http2')
if (role === 'server') server()
else if (role === 'server-http2') http2Server()
else await SCENARIOS[scenario](url)
session?.close()
