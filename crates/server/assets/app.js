// The page: shows what the worker tells, and passes on what the person does. `window.trunkline` is the same state for
// tests and the curious.

import { Log, face } from './log.js';

const CUT_MS = 3_000;
const FREEZE_MS = 8_000;
/** One flood fits into the hub's history (8 MiB by default) and the buffers on the way; three do not. */
const FLOOD = { count: 200, bytes: 48 * 1024 };
/** Publications kept in `window.trunkline`. */
const PUBLICATIONS_KEPT = 5_000;
const SPARKS_MOST = 6;
const NAMES = ['Alva', 'Bruno', 'Chiara', 'Dario', 'Edda', 'Farid', 'Greta', 'Hanno', 'Imke', 'Jonas', 'Kira', 'Levin'];

const $ = (id) => document.getElementById(id);
const log = new Log($('log'), $('newer'));
const inRoom = ['where', 'second', 'leave', 'line', 'talk', 'side', 'strip'];

let worker = null;
let here = new Map();
let until = 0;
let state = freshState();

function freshState() {
  return {
    state: 'idle',
    why: null,
    user: null,
    channel: null,
    was_live: false,
    round_trip_ms: null,
    epoch: null,
    offset: 0,
    received: 0,
    recovered: 0,
    duplicates: 0,
    missing: 0,
    gaps: 0,
    members: [],
    publications: [],
    reports: [],
    flooding: null,
  };
}

// ---- in and out of a room

function fromHash() {
  const hash = new URLSearchParams(location.hash.slice(1));
  return { nick: (hash.get('nick') ?? '').trim(), room: (hash.get('room') ?? '').trim() };
}

function enter(nick, room) {
  leave();
  state = { ...freshState(), user: nick, channel: `room:${room}` };
  window.trunkline = state;
  document.title = `${room} · Trunkline`;
  history.replaceState(null, '', `#${new URLSearchParams({ room, nick })}`);
  $('room-name').textContent = room;
  $('line-me').textContent = nick;
  $('second').href = `./#${new URLSearchParams({ room })}`;
  log.clear(nick);
  show('room');
  showMembers([{ user: nick }]);
  showCounters();
  worker = new Worker('worker.js', { type: 'module' });
  worker.onmessage = ({ data }) => hear(data);
  worker.onerror = ({ message }) => hear({ kind: 'state', state: 'ended', why: message ?? 'the worker did not start' });
  tell('start', { user: nick, channel: state.channel });
  $('text').focus();
}

function leave(problem = '') {
  worker?.terminate();
  worker = null;
  until = 0;
  state.state = 'idle';
  document.title = 'Trunkline';
  $('entry-problem').textContent = problem;
  show('entry');
}

function show(view) {
  document.body.dataset.view = view;
  $('entry').hidden = view !== 'entry';
  for (const id of inRoom) $(id).hidden = view === 'entry';
}

function showEntry(problem) {
  const { nick, room } = fromHash();
  leave(problem);
  $('nick').value = nick || NAMES[Math.floor(Math.random() * NAMES.length)];
  $('room').value = room || 'lobby';
  $('nick').focus();
  $('nick').select();
}

function route() {
  const { nick, room } = fromHash();
  if (nick && room) enter(nick, room);
  else showEntry('');
}

function tell(verb, body = {}) {
  worker?.postMessage({ verb, ...body });
}

// ---- what the worker tells

function hear(event) {
  if (event.counters) Object.assign(state, event.counters);
  on[event.kind]?.(event);
  showCounters();
}

const on = {
  state({ state: next, until: at = 0, why = null }) {
    const before = state.state;
    if (next === 'ended' && !state.was_live) return showEntry(why);
    until = at;
    if (next === 'live') state.was_live = true;
    if (next === 'cut') log.note('You cut the line. Whatever is said now, you do not hear.', 'bad');
    if (next === 'waiting' && before === 'live') log.note(`You lost the line: ${why}.`, 'bad');
    if (next === 'ended') log.note(`The hub says good-bye: ${why}.`, 'bad', { label: 'Come back', run: () => tell('again') });
    enterState(next, why);
  },
  subscribed({ how, members, before, epoch = state.epoch }) {
    showMembers(members);
    if (how === 'forgotten') {
      report({ why: how, seen: before.offset, epoch_before: before.epoch, epoch_after: epoch });
      const seen = `You had heard everything up to #${before.offset}; what was said after it, before the hub went, is lost.`;
      log.note(`The hub is back without its memory and counts anew. ${seen}`, 'bad');
    }
  },
  history: ({ publications }) => log.history(publications),
  publication(publication) {
    state.publications.push(publication);
    if (state.publications.length > PUBLICATIONS_KEPT) state.publications.shift();
    log.publication(publication);
    spark(publication.user === state.user ? 'wire-out' : 'wire-in');
  },
  join({ user, info }) {
    if (!here.has(user)) log.note(`${user} joined`);
    showMembers([...here.values(), { user, info }]);
  },
  leave({ user }) {
    if (here.delete(user)) log.note(`${user} left`);
    showMembers([...here.values()]);
  },
  gap({ from, to, announced }) {
    report({ why: 'gap', from, to, announced });
    const cause = announced ? 'the hub says that history no longer has them' : 'and the hub did not say so';
    log.note(`Gap: #${from} to #${to} never reached you, ${cause}.`, 'bad');
  },
  caught_up({ why, count, duplicates, missing }) {
    report({ why, count, duplicates, missing });
    const fate = `${missing === 0 ? 'none' : missing} lost, ${duplicates === 0 ? 'none' : duplicates} doubled`;
    const what = count === 1 ? '1 message' : `${count} messages`;
    const text = why === 'thaw' ? `Thawed: caught up with ${what}, ${fate}.` : `Back: recovered ${what}, ${fate}.`;
    log.note(text, missing + duplicates === 0 ? 'good' : 'bad');
    announce(text);
    if (state.state === 'live') showStateText(why === 'thaw' ? `Live, caught up ${count}` : `Live, recovered ${count}`);
  },
  refused: ({ id, code, message }) => log.refused(id, message, code === 'unsure' ? sayAgain : edit),
  error: ({ message }) => log.note(`The hub says: ${message}`, 'bad'),
  unsubscribed: ({ message }) => log.note(`You are no longer in this room: ${message}`, 'bad'),
  going: () => log.note('The hub is going away for a moment.', 'wait'),
  round_trip({ ms }) {
    state.round_trip_ms = ms;
    $('round-trip').textContent = ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
  },
  thawed: () => enterState('live'),
};

function report(entry) {
  state.reports.push(entry);
}

// ---- the state of the line

const NAMED = {
  connecting: () => 'Connecting',
  live: () => 'Live',
  cut: (seconds) => `Cut, back in ${seconds} s`,
  waiting: (seconds) => `Reconnecting in ${seconds} s`,
  frozen: (seconds) => `Frozen for ${seconds} s`,
  ended: () => 'Lost',
};

function enterState(next, why = null) {
  Object.assign(state, { state: next, why });
  document.body.dataset.line = next;
  $('cut').disabled = next !== 'live';
  $('freeze').disabled = next !== 'live';
  showStateText();
  announce(NAMED[next](Math.ceil((until - Date.now()) / 1000)));
}

function showStateText(text = NAMED[state.state]?.(Math.max(0, (until - Date.now()) / 1000).toFixed(1))) {
  $('state-text').textContent = text;
}

/** For those who listen to the page: once per change, not once per tick of the countdown. */
function announce(text) {
  $('state-said').textContent = text;
}

setInterval(() => ['cut', 'waiting', 'frozen'].includes(state.state) && showStateText(), 100);

/** A message is seen to run along the wire, outwards from us or inwards from the hub. */
function spark(wire) {
  const track = $(wire);
  if (track.childElementCount >= SPARKS_MOST || document.hidden) return;
  const dot = document.createElement('span');
  dot.className = wire === 'wire-in' ? 'spark inward' : 'spark';
  dot.onanimationend = () => dot.remove();
  track.append(dot);
}

// ---- who is here, and the counters

function showMembers(members) {
  here = new Map(members.map((member) => [member.user, member]));
  state.members = [...here.keys()];
  $('here-count').textContent = here.size;
  const rows = state.members.map((user) => {
    const row = document.createElement('li');
    const name = document.createElement('span');
    name.className = 'name';
    name.textContent = user === state.user ? `${user} (you)` : user;
    row.append(face(user), name);
    return row;
  });
  $('members').replaceChildren(...rows);
}

function showCounters() {
  for (const name of ['received', 'recovered', 'duplicates', 'missing', 'gaps']) {
    const cell = $(`count-${name}`);
    cell.textContent = state[name];
    const alarming = ['duplicates', 'missing', 'gaps'].includes(name) && state[name] > 0;
    cell.classList.toggle('bad', alarming);
  }
  $('count-position').textContent = state.epoch === null ? '–' : `${state.epoch.slice(0, 8)}:${state.offset}`;
}

// ---- what the person does

function say(text) {
  // Not randomUUID: that exists only where the page came over TLS or loopback.
  const id = Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join('-');
  log.waiting(id, text);
  tell('say', { id, text });
}

/** What to do with words that were not said. */
const sayAgain = { label: 'Say it again', run: say };
const edit = {
  label: 'Edit',
  run(text) {
    $('text').value = text;
    $('text').focus();
  },
};

$('entry-form').onsubmit = (event) => {
  event.preventDefault();
  const nick = $('nick').value.trim();
  const room = $('room').value.trim();
  if (!nick || !room) $('entry-problem').textContent = nick ? 'Which room?' : 'Who are you? A nickname will do.';
  else enter(nick, room);
};

$('composer').onsubmit = (event) => {
  event.preventDefault();
  const text = $('text').value.trim();
  if (!text) return;
  $('text').value = '';
  say(text);
};

$('text').onkeydown = (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $('composer').requestSubmit();
};

$('leave').onclick = () => {
  const { room } = fromHash();
  history.replaceState(null, '', `#${new URLSearchParams({ room })}`);
  showEntry('');
};

$('cut').onclick = () => tell('cut', { ms: CUT_MS });

$('freeze').onclick = () => {
  until = Date.now() + FREEZE_MS;
  enterState('frozen');
  log.note('You are frozen: the socket is open, and nobody reads it.', 'ice');
  tell('freeze', { ms: FREEZE_MS });
};

$('flood').onclick = () => {
  const flooder = new Worker('worker.js', { type: 'module' });
  $('flood').disabled = true;
  flooder.onmessage = ({ data: { kind, said, of, count, bytes, message } }) => {
    if (kind === 'flooding') $('flood').textContent = `Flooding ${said} of ${of}`;
    if (kind !== 'flooded') return;
    flooder.terminate();
    state.flooding = { count, bytes };
    $('flood').textContent = 'Flood the room';
    $('flood').disabled = false;
    log.note(message ? `The flood stopped after ${count} messages: ${message}` : `Flooded: ${count} messages of ${bytes / 1024} KiB said.`, 'wait');
  };
  state.flooding = null;
  flooder.postMessage({ verb: 'flood', user: state.user, channel: state.channel, ...FLOOD });
};

const nudge = () => document.visibilityState === 'visible' && tell('nudge');
window.addEventListener('online', nudge);
window.addEventListener('pageshow', nudge);
document.addEventListener('visibilitychange', nudge);
window.addEventListener('hashchange', route);

window.trunkline = state;
route();
