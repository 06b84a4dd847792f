// What this page wants to say, until it is known that it was said.
//
// A publish whose reply was lost with the link may or may not have been heard. Each message carries an id of our own;
// our publications come back to us like everybody's; so after a complete recovery the answer is known: it came back
// (done), or it did not (send it again). Thus each message is said once. When recovery was not complete, nobody
// knows: then the person decides, and sending twice is not our guess to make.

/** How many messages may wait for the line; one more is refused, not kept in silence. */
const WAITING_MOST = 100;

export class Outgoing {
  #entries = new Map();

  /** Keeps a message; false when too many wait already. */
  add(id, channel, data) {
    if (this.#entries.size >= WAITING_MOST) return false;
    this.#entries.set(id, { id, channel, data, state: 'waiting' });
    return true;
  }

  /** The messages of a channel that may be sent now; they count as sent from here on. */
  take(channel) {
    const ready = [...this.#entries.values()].filter((e) => e.channel === channel && e.state === 'waiting');
    for (const entry of ready) entry.state = 'sent';
    return ready;
  }

  /** Its fate is known (reply, error, or it came back): forget it. False if that was known already. */
  settle(id) {
    return this.#entries.delete(id);
  }

  /** To be sent once more, later. */
  retry(id) {
    const entry = this.#entries.get(id);
    if (entry) entry.state = 'waiting';
  }

  /** The link is gone: what was sent and not answered is now a question. */
  cut() {
    for (const entry of this.#entries.values()) {
      if (entry.state === 'sent') entry.state = 'unsure';
    }
  }

  /** The channel is whole again: what has not come back was not heard, and may be sent again. */
  recovered(channel) {
    for (const entry of this.#entries.values()) {
      if (entry.channel === channel && entry.state === 'unsure') entry.state = 'waiting';
    }
  }

  /** The channel came back with something lost: answers, and forgets, those whose fate nobody knows. */
  lost(channel) {
    const unsure = [...this.#entries.values()].filter((e) => e.channel === channel && e.state === 'unsure');
    for (const { id } of unsure) this.#entries.delete(id);
    return unsure;
  }
}
