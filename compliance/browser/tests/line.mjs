// What happens to the line: cut, frozen, and back.

import assert from 'node:assert/strict';

import { pair } from '../lib/pair.mjs';

const FLOOD = 200;

export async function lineTests(context) {
  const { name, test } = context;

  await test('a cut line comes back with all that was said meanwhile, once and in order', () =>
    pair(context, 'cut', async (alva, bruno) => {
      await alva.say('before');
      await bruno.heard('before');
      await alva.press('cut');
      await alva.until('cut', ({ state }) => state === 'cut');
      const missed = ['while cut: one', 'while cut: two', 'while cut: three'];
      for (const text of missed) await bruno.say(text);
      await bruno.heard(missed.at(-1));
      assert.deepEqual(await alva.texts(), ['before'], 'a cut line hears nothing');

      const report = await alva.reported('return');
      assert.deepEqual(report, { why: 'return', count: 3, duplicates: 0, missing: 0 });
      await alva.shows('recovered 3 messages, none lost, none doubled');
      await alva.say('after');
      await bruno.heard('after');
      await alva.heard('after');
      assert.deepEqual(await alva.texts(), ['before', ...missed, 'after']);
      assert.deepEqual(await bruno.texts(), await alva.texts());
      assert.equal((await alva.state()).recovered, 3);
    }));

  await test('a return within the grace is neither leave nor join', () =>
    pair(context, 'grace', async (alva, bruno) => {
      await bruno.until('both are here', ({ members }) => members.length === 2);
      await alva.press('cut');
      await alva.reported('return');
      await alva.say('I was never gone');
      await bruno.heard('I was never gone');
      assert.deepEqual((await bruno.state()).members.toSorted(), ['Alva', 'Bruno']);
      assert.doesNotMatch(await bruno.visible(), /Alva left/);
    }));

  await test('what is said into a cut line is heard once, when it is back', () =>
    pair(context, 'say-while-cut', async (alva, bruno) => {
      await alva.press('cut');
      await alva.say('said into the dark');
      await alva.shows('on its way');
      await bruno.heard('said into the dark');
      await alva.heard('said into the dark');
      await alva.say('and after');
      await bruno.heard('and after');
      assert.deepEqual(await bruno.texts(), ['said into the dark', 'and after']);
    }));

  await test('a frozen window catches up with a flood: all of it, once, in order', () =>
    pair(context, 'freeze', async (alva, bruno) => {
      await alva.press('freeze');
      await alva.until('frozen', ({ state }) => state === 'frozen');
      await flood(bruno, 1);
      const { count, duplicates, missing } = await alva.reported('thaw', 60_000);
      assert.deepEqual({ duplicates, missing }, { duplicates: 0, missing: 0 });
      assert.ok(count > 0, 'something was caught up with');
      await alva.shows(`caught up with ${count} messages, none lost, none doubled`);
      await alva.until('all of the flood is here', ({ offset }) => offset === FLOOD);
      const offsets = (await alva.publications()).map(({ offset }) => offset);
      assert.deepEqual(offsets, Array.from({ length: FLOOD }, (_, i) => i + 1));
      await alva.say('still here');
      await bruno.heard('still here');
    }));

  await test('a flood larger than history leaves a gap that is announced, and the line lives', () =>
    pair(context, 'gap', async (alva, bruno) => {
      await alva.press('freeze');
      await alva.until('frozen', ({ state }) => state === 'frozen');
      await flood(bruno, 3);
      await alva.reported('thaw', 60_000);
      await alva.until('the end of the flood', ({ offset }) => offset === 3 * FLOOD);
      const { received, missing, reports } = await alva.state();
      assert.equal(received + missing, 3 * FLOOD, 'each publication came, or was announced as missing');
      const gaps = reports.filter(({ why }) => why === 'gap');
      assert.ok(gaps.every(({ announced }) => announced), 'the hub has said so');
      // Firefox reads on while its worker is stopped, so the hub never has to wait for it.
      if (name === 'chromium') assert.ok(missing > 0, 'a frozen Chromium stops reading');
      await alva.say('still here');
      await bruno.heard('still here');
    }, { lossy: true }));
}

async function flood(window, times) {
  for (let i = 0; i < times; i += 1) {
    await window.press('flood');
    await window.until('flooded', ({ flooding }) => flooding?.count === FLOOD, 60_000);
  }
}
