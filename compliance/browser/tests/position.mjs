// The counters that prove "nothing lost, nothing doubled" are themselves tested: the modules of the page, as the server
// serves them, run through tables inside the browser.

import assert from 'node:assert/strict';

export async function positionTests({ test, browser, server }) {
  const page = await browser.newPage();
  await page.goto(server.url);

  const cases = [
    {
      name: 'offsets one after the other are received',
      steps: [['pub', 6], ['pub', 7]],
      expect: { offset: 7, received: 2, duplicates: 0, missing: 0, gaps: [] },
    },
    {
      name: 'an offset seen before is a duplicate, and not shown',
      steps: [['pub', 6], ['pub', 6], ['pub', 5]],
      expect: { offset: 6, received: 1, duplicates: 2, missing: 0, gaps: [] },
    },
    {
      name: 'a jump that nobody announced is a gap of our own finding',
      steps: [['pub', 6], ['pub', 9]],
      expect: { offset: 9, received: 2, duplicates: 0, missing: 2, gaps: [{ from: 7, to: 8, announced: false }] },
    },
    {
      name: 'an announced gap moves the position, and what follows is no second gap',
      steps: [['gap', 6, 8], ['pub', 9]],
      expect: { offset: 9, received: 1, duplicates: 0, missing: 3, gaps: [{ from: 6, to: 8, announced: true }] },
    },
    {
      name: 'a gap over what was received counts only the rest',
      steps: [['pub', 6], ['gap', 4, 8]],
      expect: { offset: 8, received: 1, duplicates: 0, missing: 2, gaps: [{ from: 7, to: 8, announced: true }] },
    },
    {
      name: 'a return counts what was missed until the channel stands where it stood',
      steps: [['found', 'e', 6, true, [6]], ['pub', 6], ['pub', 7], ['head', 7]],
      expect: { offset: 7, received: 2, duplicates: 0, missing: 0, gaps: [] },
      report: { why: 'return', count: 2, duplicates: 0, missing: 0 },
    },
    {
      name: 'a return to a channel where nothing was said is complete at once',
      steps: [['found', 'e', 5, true, []], ['head', 5]],
      expect: { offset: 5, received: 0, duplicates: 0, missing: 0, gaps: [] },
      report: { why: 'return', count: 0, duplicates: 0, missing: 0 },
    },
    {
      name: 'a history that does not reach back is a loss of known size',
      steps: [['found', 'e', 9, false, [8, 9]], ['pub', 8], ['pub', 9], ['head', 9]],
      expect: { offset: 9, received: 2, duplicates: 0, missing: 2, gaps: [{ from: 6, to: 7, announced: true }] },
      report: { why: 'return', count: 2, duplicates: 0, missing: 2 },
    },
    {
      name: 'a return that is cut short goes on with the next one, and reports for both',
      steps: [['found', 'e', 9, false, [8]], ['pub', 8], ['found', 'e', 9, true, [9]], ['pub', 9], ['head', 9]],
      expect: { offset: 9, received: 2, duplicates: 0, missing: 2, gaps: [{ from: 6, to: 7, announced: true }] },
      report: { why: 'return', count: 2, duplicates: 0, missing: 2 },
    },
    {
      name: 'another epoch starts anew and claims no number for what is lost',
      steps: [['found', 'f', 3, false, []], ['pub', 4]],
      expect: { offset: 4, received: 1, duplicates: 0, missing: 0, gaps: [] },
    },
    {
      name: 'a position that the hub never gave, of the same epoch, is no ground to stand on either',
      steps: [['found', 'e', 2, false, []], ['pub', 3]],
      expect: { offset: 3, received: 1, duplicates: 0, missing: 0, gaps: [] },
    },
    {
      name: 'what a new epoch holds already is received from its beginning',
      steps: [['found', 'f', 2, false, [1, 2]], ['pub', 1], ['pub', 2]],
      expect: { offset: 2, received: 2, duplicates: 0, missing: 0, gaps: [] },
    },
    {
      name: 'a gap announced after the reply that implied it is counted once',
      steps: [['found', 'e', 9, false, []], ['gap', 6, 9], ['head', 9]],
      expect: { offset: 9, received: 0, duplicates: 0, missing: 4, gaps: [{ from: 6, to: 9, announced: true }] },
      report: { why: 'return', count: 0, duplicates: 0, missing: 4 },
    },
  ];
  for (const { name, steps, expect, report = null } of cases) {
    await test(name, async () => {
      const answer = await page.evaluate(walk, steps);
      assert.deepEqual(answer, { ...expect, report });
    });
  }

  await test('a message of unknown fate is said again after a whole return, and never after a loss', async () => {
    assert.deepEqual(await page.evaluate(fates), {
      sentOnce: ['a'],
      againAfterWholeReturn: ['a'],
      cameBackMeanwhile: [],
      againAfterLoss: [],
      unsureAfterLoss: ['a'],
    });
  });

  await test('the backoff stays below its cap and grows from half a second', async () => {
    const caps = await page.evaluate(async () => {
      const { backoff } = await import('/hub.js');
      return [0, 1, 2, 5, 6, 60].map((n) => [backoff(n, () => 0), backoff(n, () => 1)]);
    });
    assert.deepEqual(caps, [[0, 500], [0, 1000], [0, 2000], [0, 16000], [0, 20000], [0, 20000]]);
  });

  await page.close();
}

/** Runs in the page: a channel that stands at offset 5 of epoch `e` goes through the steps. */
async function walk(steps) {
  const { Channel } = await import('/channel.js');
  const channel = new Channel('room:table');
  channel.found({ epoch: 'e', offset: 5, recovered: false, publications: [] });
  for (const [step, ...of] of steps) {
    if (step === 'pub') channel.publication({ offset: of[0] });
    if (step === 'gap') channel.gap({ from: of[0], to: of[1] });
    if (step === 'head') channel.catchUp.until = of[0];
    if (step === 'found') {
      const [epoch, offset, recovered, offsets] = of;
      channel.found({ epoch, offset, recovered, publications: offsets.map((offset) => ({ offset })) });
    }
  }
  const { offset, received, duplicates, missing, gaps } = channel;
  return { offset, received, duplicates, missing, gaps, report: channel.caughtUp() };
}

/** Runs in the page. */
async function fates() {
  const { Outgoing } = await import('/outgoing.js');
  const ids = (entries) => entries.map(({ id }) => id);
  const outgoing = () => {
    const fresh = new Outgoing();
    fresh.add('a', 'room:table', {});
    return [fresh, ids(fresh.take('room:table'))];
  };
  const [whole, sentOnce] = outgoing();
  whole.cut();
  whole.recovered('room:table');
  const [heard] = outgoing();
  heard.cut();
  heard.settle('a');
  heard.recovered('room:table');
  const [lossy] = outgoing();
  lossy.cut();
  const unsureAfterLoss = ids(lossy.lost('room:table'));
  lossy.recovered('room:table');
  return {
    sentOnce,
    againAfterWholeReturn: ids(whole.take('room:table')),
    cameBackMeanwhile: ids(heard.take('room:table')),
    againAfterLoss: ids(lossy.take('room:table')),
    unsureAfterLoss,
  };
}
