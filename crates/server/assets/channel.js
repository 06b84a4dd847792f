// One channel as a subscriber sees it: where we are in it, and what never reached us.
//
// Pure: no socket, no clock, no page. A position is (epoch, offset). Offsets are consecutive, so this file alone can
// prove that nothing was lost or doubled:
//
//   offset <= ours      a duplicate: counted, never shown
//   offset == ours + 1  the next one
//   offset >  ours + 1  publications are missing that nobody announced: counted as a gap of our own finding
//
// (A client that publishes with `exclude_self` must take the offsets of its publish replies into account. This one does
// not: that its own words come back is how it knows that they were heard.)

/** How many gaps are remembered one by one; the counter `missing` goes on beyond that. */
const GAPS_KEPT = 100;

export class Channel {
  constructor(name) {
    this.name = name;
    this.epoch = null;
    this.offset = 0;
    this.received = 0;
    this.duplicates = 0;
    this.missing = 0;
    this.recovered = 0;
    this.gaps = [];
    this.catchUp = null;
    this.subscribed = false;
  }

  /** True when nothing that was said is still to come: the moment to speak. */
  get whole() {
    return this.subscribed && this.catchUp === null;
  }

  /** The link went, and the subscription with it; the position stays. */
  cut() {
    this.subscribed = false;
  }

  /** Where to go on from, for the next `subscribe`; undefined before the first. */
  since() {
    return this.epoch === null ? undefined : { epoch: this.epoch, offset: this.offset };
  }

  /**
   * Takes the position of a `subscribe` reply; its publications go through `publication` afterwards, like pushes.
   *
   * Answers how the channel was found again:
   * `fresh` the first time; `recovered` when nothing is lost; `truncated` when history no longer reaches back to us;
   * `forgotten` when the epoch is another one, that is: the hub lost its memory, and nobody can say what else was in
   * it. After `recovered` and `truncated` a catch-up runs, whose end is not known yet: what does not fit into the
   * reply follows as pushes.
   */
  found({ epoch, offset, recovered, publications }) {
    const before = { epoch: this.epoch, offset: this.offset };
    const start = publications?.length ? publications[0].offset - 1 : offset;
    this.epoch = epoch;
    this.subscribed = true;
    if (before.epoch === null) {
      this.offset = start;
      return { how: 'fresh', before };
    }
    if (before.epoch !== epoch || offset < before.offset) {
      this.offset = start;
      this.catchUp = null;
      return { how: 'forgotten', before };
    }
    this.expect('return');
    if (recovered) return { how: 'recovered', before };
    this.#skip(before.offset + 1, start, true);
    return { how: 'truncated', before };
  }

  /** True when this publication is new and is to be shown. */
  publication({ offset }) {
    if (offset <= this.offset) {
      this.duplicates += 1;
      return false;
    }
    this.#skip(this.offset + 1, offset - 1, false);
    this.offset = offset;
    this.received += 1;
    if (this.catchUp !== null && offset <= this.catchUp.until) {
      this.catchUp.count += 1;
      if (this.recovering) this.recovered += 1;
    }
    return true;
  }

  /** The hub says that history no longer has `from` to `to`, both included. */
  gap({ from, to }) {
    this.#skip(Math.max(from, this.offset + 1), to, true);
  }

  /** Starts counting what comes, until the channel stands where the hub says it stands; goes on if that runs already. */
  expect(why) {
    const { count = 0, duplicates, missing } = this.catchUp ?? this;
    this.catchUp = { why, until: Infinity, count, duplicates, missing };
  }

  /** True while what comes was missed by an absence, and not by a pause. */
  get recovering() {
    return this.catchUp?.why === 'return';
  }

  /** The report of a catch-up that is complete, once; null while there is none or it still runs. */
  caughtUp() {
    const catchUp = this.catchUp;
    if (catchUp === null || this.offset < catchUp.until) return null;
    this.catchUp = null;
    return {
      why: catchUp.why,
      count: catchUp.count,
      duplicates: this.duplicates - catchUp.duplicates,
      missing: this.missing - catchUp.missing,
    };
  }

  #skip(from, to, announced) {
    if (to < from) return;
    this.missing += to - from + 1;
    this.offset = Math.max(this.offset, to);
    this.gaps.push({ from, to, announced });
    if (this.gaps.length > GAPS_KEPT) this.gaps.shift();
  }
}
