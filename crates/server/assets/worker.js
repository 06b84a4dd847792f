// The line lives here, in a worker, and the page only looks on. That is what makes "Freeze me" honest: this thread
// really stops, so nobody takes messages off the socket, while the page can still count the seconds.
//
// What then happens differs. Chromium hands messages to a stopped thread only until a small buffer is full; then it
// stops reading the socket, the kernel's buffers fill, the server's outbox fills, and the hub stops pushing until we
// are back. Firefox goes on reading and keeps everything in its own memory. Both catch up; only one makes the server
// wait.

import { Hub } from './hub.js';

let hub = null;
let room = null;

const emit = (event) => postMessage({ ...slim(event), counters: counters(hub.channel(room)) });

onmessage = ({ data: { verb, ...body } }) => verbs[verb](body);

const verbs = {
  start({ user, channel }) {
    room = channel;
    hub = new Hub({ user, emit });
    hub.join(channel);
    hub.start();
  },
  say: ({ id, text }) => hub.say(room, id, { id, text }),
  cut: ({ ms }) => hub.cut(ms),
  nudge: () => hub.nudge(),
  again: () => hub.start(),
  freeze,
  flood,
};

function freeze({ ms }) {
  stopThisThread(ms);
  emit({ kind: 'thawed' });
  hub.thawed(room);
}

/**
 * Says `count` large messages as fast as the hub takes them, over a line of its own without a subscription, so that a
 * window can flood the room while its own line is frozen. In flight at most `FLOOD_WINDOW`.
 */
const FLOOD_WINDOW = 16;

async function flood({ user, channel, count, bytes }) {
  const pad = noise(bytes);
  const ready = new Promise((resolve, reject) => {
    hub = new Hub({
      user,
      emit: ({ kind, state, why }) => {
        if (kind === 'state' && state === 'live') resolve();
        if (kind === 'state' && (state === 'waiting' || state === 'ended')) reject(new Error(why));
      },
    });
    hub.start();
  });
  let said = 0;
  const speak = async () => {
    while (said < count) {
      const data = { flood: ++said, of: count, pad };
      while (!(await accepted({ channel, data }))) await new Promise((wake) => setTimeout(wake, 500));
      if (data.flood % 20 === 0) postMessage({ kind: 'flooding', said: data.flood, of: count });
    }
  };
  try {
    await ready;
    await Promise.all(Array.from({ length: FLOOD_WINDOW }, speak));
    postMessage({ kind: 'flooded', count, bytes });
  } catch ({ message }) {
    postMessage({ kind: 'flooded', count: said, bytes, message });
  }
  hub.stop();
}

/** Text that compression makes a quarter shorter and no more: words that repeat would flood nobody. At most 64 KiB. */
function noise(bytes) {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => letters[byte & 63]).join('');
}

/** True when the hub took it, false when it asks to try again. */
async function accepted(publication) {
  try {
    await hub.command('publish', publication);
    return true;
  } catch (error) {
    if (error.retry && error.code !== 'cut') return false;
    throw error;
  }
}

/** Blocks without burning a core where shared memory allows it, by spinning where it does not. */
function stopThisThread(ms) {
  const until = performance.now() + ms;
  try {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    Atomics.wait(new Int32Array(memory.buffer), 0, 0, ms);
  } catch {
    while (performance.now() < until);
  }
}

/** The padding of a flood is of no use to the page: its size is. */
function slim(event) {
  if (event.kind === 'history') return { ...event, publications: event.publications.map(slim) };
  if (event.data?.flood === undefined) return event;
  const { flood: number, of, pad } = event.data;
  return { ...event, data: { flood: number, of, bytes: String(pad).length } };
}

function counters(channel) {
  if (!channel) return null;
  const { epoch, offset, received, duplicates, missing, recovered, gaps } = channel;
  return { epoch, offset, received, duplicates, missing, recovered, gaps: gaps.length };
}
