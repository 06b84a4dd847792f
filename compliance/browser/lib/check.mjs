// The smallest test runner that does here: one line per test, a sum at the end, each test bounded in time.

import { setTimeout as sleep } from 'node:timers/promises';

/** One test may take so long; the longest (a flood while frozen) takes a quarter of it. */
const TEST_MS = 90_000;

export class Checks {
  passed = 0;
  failed = 0;

  /** Runs a test; what it throws is its failure, and the next one runs all the same. */
  async test(name, run) {
    const watchdog = new AbortController();
    const late = sleep(TEST_MS, null, { signal: watchdog.signal }).then(
      () => Promise.reject(new Error(`not done after ${TEST_MS / 1000} s`)),
      () => {},
    );
    try {
      await Promise.race([run(), late]);
      this.passed += 1;
      console.log(`ok    ${name}`);
    } catch (error) {
      this.failed += 1;
      console.log(`FAIL  ${name}\n      ${String(error.stack ?? error).replaceAll('\n', '\n      ')}`);
    } finally {
      watchdog.abort();
    }
  }

  summary() {
    console.log(`${this.passed} passed, ${this.failed} failed`);
    return this.failed === 0 && this.passed > 0 ? 0 : 1;
  }
}

/** Asks again and again until `probe` answers something true, and answers that. */
export async function until(what, probe, ms = 20_000) {
  const deadline = Date.now() + ms;
  for (;;) {
    const answer = await probe();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`waited ${ms / 1000} s in vain: ${what}`);
    await sleep(50);
  }
}
