// A client of the hub, dialect `hub.json.1`, in one file without dependencies: connect with a one-time ticket,
// subscribe, publish, lose the line, come back with the session token and go on from the last offset.
//
// It knows no page: what happens is told by `emit({ kind, ... })`. It runs in a worker here (see worker.js), and
// would run in a page or in Node just as well.
//
//   idle ──start──▶ connecting ──▶ live ──cut()──▶ cut ──▶ connecting
//                     │    ▲         │
//                     │    └─ waiting ◀── link lost (full jitter)
//                     └──────▶ ended (the hub says: do not come back)

import { Channel } from './channel.js';
import { Outgoing } from './outgoing.js';

const SUBPROTOCOL = 'hub.json.1';
const CLIENT = { name: 'trunkline-demo', version: '0.1.0' };

/** Milliseconds unless named otherwise. */
const LIMITS = {
  connect: 10_000, // from the first byte to `connected`
  tick: 5_000, // one ping verb every so often
  silentTicks: 3, // so many without hearing anything: dead. Counted, not timed, for those who sleep and wake up
  backoffFirst: 500,
  backoffMost: 20_000,
  settled: 5_000, // a link that lived this long starts the backoff anew
  nudge: 300, // on `online` and the like: at once, but not all pages in one millisecond
  retry: 1_000, // `rate_limited` and others that say retry
  message: 256 * 1024, // bytes; more is not worth a round trip to be refused
  history: 50, // publications shown from before we came
};

/** Close codes (RFC 6455 section 7.4.1) in words, where the hub gave no reason. */
const ENDINGS = {
  1001: 'the hub is going away',
  1006: 'it broke off without a Close frame',
  1012: 'the hub is restarting',
};

/** Full jitter: anywhere between nothing and the cap, so that a thousand clients do not come back as one. */
export const backoff = (n, random = Math.random) =>
  random() * Math.min(LIMITS.backoffMost, LIMITS.backoffFirst * 2 ** n);

/** An error the hub answered, or one of our own in the same shape. */
export class Refused extends Error {
  constructor({ code, message, retry = false }) {
    super(message);
    this.code = code;
    this.retry = retry;
  }
}

export class Hub {
  #emit;
  #user;
  #channels = new Map();
  #outgoing = new Outgoing();
  #state = 'idle';
  #session = null;
  #socket = null;
  #pending = new Map();
  #nextId = 1;
  #failures = 0;
  #liveSince = 0;
  #silent = 0;
  #freezes = 0;
  #paused = false;
  #farewell = {};
  #timers = { next: 0, tick: 0, connect: 0, leave: 0 };

  constructor({ user, emit }) {
    this.#user = user;
    this.#emit = emit;
  }

  start() {
    this.#connect();
  }

  /** Subscribes with presence, now or as soon as there is a line, and again after every return. */
  join(name) {
    const channel = new Channel(name);
    this.#channels.set(name, channel);
    if (this.#state === 'live') this.#subscribe(channel);
  }

  channel(name) {
    return this.#channels.get(name);
  }

  /** Says something once, also across a cut line; `id` must be unique, and comes back as `data.id`. */
  say(name, id, data) {
    if (!this.#channels.has(name)) {
      return this.#emit({ kind: 'refused', id, code: 'not_subscribed', message: 'you are no longer in this room' });
    }
    const bytes = new TextEncoder().encode(JSON.stringify(data)).length;
    if (bytes > LIMITS.message) {
      const message = `${bytes} bytes are too many to send at all`;
      return this.#emit({ kind: 'refused', id, code: 'too_large', message });
    }
    if (!this.#outgoing.add(id, name, data)) {
      return this.#emit({ kind: 'refused', id, code: 'too_many', message: 'too many messages wait for the line' });
    }
    if (this.#channels.get(name)?.whole) this.#flush(name);
  }

  /** Any verb: resolves with `ok`, rejects with a `Refused`; code `cut` when the line went before the reply. */
  async command(verb, body = {}) {
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      throw new Refused({ code: 'cut', message: 'there is no line', retry: true });
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#send({ id, [verb]: body });
    });
  }

  /**
   * Drops the line and stays away for `ms`. A page cannot pull the plug: the browser says a Close frame for it. Nothing
   * that still arrives is read, and the hub treats every lost link alike.
   */
  cut(ms) {
    this.#abandon();
    this.#wait('cut', ms);
  }

  /** The network or the person is back: do not wait out the backoff. A deliberate cut, or a pause the hub asked for, is. */
  nudge() {
    if (this.#state === 'waiting' && !this.#paused) this.#wait('waiting', Math.random() * LIMITS.nudge);
    else if (this.#state === 'live') this.#ping();
  }

  /**
   * Nothing was read for a while. Measurements that span the pause mean nothing; and what comes now is counted until
   * the channel stands where the hub says it stands.
   */
  async thawed(name) {
    this.#freezes += 1;
    this.#silent = 0;
    const channel = this.#channels.get(name);
    if (!channel || channel.catchUp !== null) return;
    channel.expect('thaw');
    await this.#findHead(channel);
  }

  /** Ends for good, with a Close frame. */
  stop(why = null) {
    this.#abandon();
    this.#enter('ended', { why });
  }

  // ---- the line

  async #connect() {
    this.#abandon();
    this.#farewell = {};
    this.#enter('connecting');
    this.#timers.connect = setTimeout(() => this.#lost('no answer in time'), LIMITS.connect);
    const attempt = this.#timers.connect;
    let proof = { session: this.#session };
    if (this.#session === null) {
      try {
        proof = { ticket: await fetchTicket(this.#user) };
      } catch (error) {
        if (attempt !== this.#timers.connect) return;
        return error.retry === false ? this.stop(error.message) : this.#lost(error.message);
      }
      if (attempt !== this.#timers.connect) return;
    }
    const socket = new WebSocket(doorUrl(), [SUBPROTOCOL]);
    this.#socket = socket;
    socket.onopen = () => this.#introduce(proof);
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#lost(reason || ENDINGS[code] || `it was closed with ${code}`, code);
  }

  async #introduce(proof) {
    try {
      const connected = await this.command('connect', { ...proof, client: CLIENT });
      this.#live(connected);
    } catch (error) {
      if (error.code === 'cut') return;
      this.#farewell = { code: error.code, message: error.message, reconnect: error.retry };
      this.#lost(error.message);
    }
  }

  #live(connected) {
    clearTimeout(this.#timers.connect);
    this.#session = connected.session ?? null;
    this.#liveSince = performance.now();
    this.#silent = 0;
    this.#enter('live', { user: connected.user, node: connected.node, limits: connected.limits });
    this.#timers.tick = setInterval(() => this.#tick(), LIMITS.tick);
    this.#ping();
    for (const channel of this.#channels.values()) this.#subscribe(channel);
  }

  /** The link ended without our wish: find out whether, how and when to come back. */
  #lost(why, closeCode = 0) {
    const { code, message, reconnect, returnMs } = this.#farewell;
    const lived = this.#state === 'live' ? performance.now() - this.#liveSince : 0;
    const spent = this.#session !== null && (code === 'unauthenticated' || code === 'expired' || closeCode === 4401);
    this.#abandon();
    if (spent) {
      // The session is no longer good (too late, or a hub that never knew it). A fresh ticket is; the positions stay.
      this.#session = null;
      this.#paused = false;
      return this.#wait('waiting', 0, message ?? why);
    }
    if (reconnect === false) return this.stop(message ?? why);
    if (lived > LIMITS.settled) this.#failures = 0;
    this.#paused = returnMs > 0;
    const delay = this.#paused ? returnMs * (1 + Math.random() / 2) : backoff(this.#failures++);
    this.#wait('waiting', delay, message ?? why);
  }

  #wait(state, ms, why = null) {
    clearTimeout(this.#timers.next);
    this.#enter(state, { until: Date.now() + ms, why });
    this.#timers.next = setTimeout(() => this.#connect(), ms);
  }

  /** Lets go of the socket and of everything that hangs on it. */
  #abandon() {
    const { next, tick, connect, leave } = this.#timers;
    [next, connect, leave].forEach(clearTimeout);
    clearInterval(tick);
    this.#timers.connect = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    const unanswered = [...this.#pending.values()];
    this.#pending.clear();
    this.#outgoing.cut();
    for (const channel of this.#channels.values()) channel.cut();
    const why = new Refused({ code: 'cut', message: 'the line was cut before the reply', retry: true });
    for (const { reject } of unanswered) reject(why);
  }

  #enter(state, detail = {}) {
    this.#state = state;
    this.#emit({ kind: 'state', state, ...detail });
  }

  // ---- what the hub says

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #receive(text) {
    this.#silent = 0;
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return this.#lost('the hub said something that is not JSON');
    }
    if (message.id !== undefined) return this.#reply(message);
    if (message.channel !== undefined) return this.#channelPush(this.#channels.get(message.channel), message);
    if (message.ping !== undefined) return this.#send({ pong: message.ping });
    if (message.disconnect) Object.assign(this.#farewell, message.disconnect);
    else if (message.go_away) this.#goAway(message.go_away);
    else if (message.expiring) this.#refresh();
    else if (message.error) this.#emit({ kind: 'error', ...message.error });
    // Anything else is from a newer hub, and not for us.
  }

  #reply({ id, ok, error }) {
    const waiting = this.#pending.get(id);
    this.#pending.delete(id);
    if (error) waiting?.reject(new Refused(error));
    else waiting?.resolve(ok);
  }

  #channelPush(channel, { pub, join, leave, gap, unsubscribed }) {
    if (!channel) return;
    if (pub) this.#publication(channel, pub);
    else if (join) this.#emit({ kind: 'join', channel: channel.name, ...join });
    else if (leave) this.#emit({ kind: 'leave', channel: channel.name, ...leave });
    else if (gap) {
      const known = channel.missing;
      channel.gap(gap);
      this.#tellGap(channel, known);
    } else if (unsubscribed) {
      this.#channels.delete(channel.name);
      this.#emit({ kind: 'unsubscribed', channel: channel.name, ...unsubscribed });
    }
    this.#settle(channel);
  }

  /** The hub wants to be left: at a random moment before it goes, not to come back before its pause is over. */
  #goAway({ leave_ms: leaveMs = 0, return_ms: returnMs = 0 }) {
    this.#farewell = { returnMs };
    clearTimeout(this.#timers.leave);
    this.#timers.leave = setTimeout(() => this.#lost('the hub asked us to go'), Math.random() * leaveMs);
    this.#emit({ kind: 'going', leave_ms: leaveMs, return_ms: returnMs });
  }

  async #refresh() {
    try {
      await this.command('refresh', { ticket: await fetchTicket(this.#user) });
    } catch {
      // The hub will end the link when the old permission runs out, and we come back with a new ticket.
    }
  }

  #tick() {
    if (this.#silent >= LIMITS.silentTicks) return this.#lost('nothing heard from the hub');
    this.#silent += 1;
    this.#ping();
  }

  async #ping() {
    const freezes = this.#freezes;
    const from = performance.now();
    try {
      await this.command('ping');
    } catch {
      return;
    }
    if (freezes === this.#freezes) this.#emit({ kind: 'round_trip', ms: performance.now() - from });
  }

  // ---- channels

  async #subscribe(channel) {
    const since = channel.since();
    let reply;
    try {
      const where = { channel: channel.name, presence: true };
      reply = await this.command('subscribe', since ? { ...where, since } : where);
    } catch (error) {
      if (error.code === 'cut') return;
      if (error.retry) return this.#later(() => this.#subscribe(channel));
      return this.stop(`${channel.name}: ${error.message}`);
    }
    const known = channel.missing;
    const found = channel.found(reply);
    this.#emit({ kind: 'subscribed', channel: channel.name, members: reply.members ?? [], ...found });
    this.#tellGap(channel, known);
    if (found.how === 'fresh' || found.how === 'forgotten') this.#showHistory(channel);
    if (found.how === 'forgotten') this.#tellUnsure(channel);
    for (const publication of reply.publications ?? []) this.#publication(channel, publication);
    if (channel.whole) this.#flush(channel.name);
    else await this.#findHead(channel);
  }

  /** Asks where the channel stands now: there the catch-up under way is complete. */
  async #findHead(channel) {
    const { catchUp } = channel;
    let until = channel.offset;
    try {
      until = (await this.command('history', { channel: channel.name, limit: 0 })).offset;
    } catch (error) {
      // The line broke meanwhile: the return reports for both.
      if (error.code === 'cut') return;
    }
    catchUp.until = until;
    this.#settle(channel);
  }

  #tellUnsure(channel) {
    for (const { id } of this.#outgoing.lost(channel.name)) {
      const message = 'the line went before the hub answered, and its memory does not reach back: it may be lost';
      this.#emit({ kind: 'refused', id, code: 'unsure', message });
    }
  }

  /** What was said before we came, up to where our subscription starts. */
  async #showHistory(channel) {
    const { epoch, offset: until } = channel;
    if (until === 0) return;
    try {
      const ask = { channel: channel.name, limit: LIMITS.history, reverse: true };
      const history = await this.command('history', ask);
      if (history.epoch !== epoch) return;
      const publications = history.publications
        .filter(({ offset }) => offset <= until)
        .sort((a, b) => a.offset - b.offset);
      this.#emit({ kind: 'history', channel: channel.name, publications });
    } catch {
      // Without history the room simply starts empty.
    }
  }

  #publication(channel, publication) {
    const { recovering } = channel;
    const known = channel.missing;
    if (channel.publication(publication)) {
      this.#outgoing.settle(publication.data?.id);
      this.#emit({ kind: 'publication', channel: channel.name, recovered: recovering, ...publication });
    }
    this.#tellGap(channel, known);
  }

  /** When more is missing than was known to be missing. */
  #tellGap(channel, known) {
    if (channel.missing > known) this.#emit({ kind: 'gap', channel: channel.name, ...channel.gaps.at(-1) });
  }

  /** When a catch-up is complete: say so, and send what waited for it. */
  #settle(channel) {
    const report = channel.caughtUp();
    if (report === null) return;
    this.#emit({ kind: 'caught_up', channel: channel.name, ...report });
    if (report.missing === 0) this.#outgoing.recovered(channel.name);
    else this.#tellUnsure(channel);
    this.#flush(channel.name);
  }

  #flush(name) {
    for (const entry of this.#outgoing.take(name)) this.#publish(entry);
  }

  /** Once more on this link, if it is still there then; a new link starts afresh anyway. */
  #later(run) {
    const socket = this.#socket;
    setTimeout(() => socket !== null && socket === this.#socket && run(), LIMITS.retry);
  }

  async #publish({ id, channel, data }) {
    try {
      const { offset } = await this.command('publish', { channel, data });
      if (this.#outgoing.settle(id)) this.#emit({ kind: 'accepted', id, offset });
    } catch (error) {
      if (error.code === 'cut') return;
      if (error.retry) {
        this.#outgoing.retry(id);
        this.#later(() => this.#flush(channel));
      } else {
        this.#outgoing.settle(id);
        this.#emit({ kind: 'refused', id, code: error.code, message: error.message });
      }
    }
  }
}

function doorUrl() {
  const url = new URL('connect', self.location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}

/** The hub's web service would do this after a login of its own; the development server does it for any name. */
async function fetchTicket(user) {
  const response = await fetch(new URL('dev/ticket', self.location.href), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ user }),
  }).catch(() => {
    throw new Refused({ code: 'unavailable', message: 'the server does not answer', retry: true });
  });
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body.ticket;
  const retry = response.status === 429 || response.status >= 500;
  const message = body.detail ?? body.title ?? body.error?.message ?? `no ticket: status ${response.status}`;
  throw new Refused({ code: 'unauthenticated', message, retry });
}
