// Two windows talk, and see each other come and go.

import assert from 'node:assert/strict';

import { until } from '../lib/check.mjs';
import { pair } from '../lib/pair.mjs';
import { DemoWindow } from '../lib/window.mjs';

export async function talkTests(context) {
  const { test, browser, server } = context;

  await test('a message arrives in both windows, both ways, in the same order', () =>
    pair(context, 'both-ways', async (alva, bruno) => {
      await alva.say('hello from the left');
      await bruno.heard('hello from the left');
      await bruno.say('hello from the right');
      await alva.heard('hello from the right');
      await bruno.heard('hello from the right');
      assert.deepEqual(await alva.texts(), ['hello from the left', 'hello from the right']);
      assert.deepEqual(await bruno.texts(), await alva.texts());
      await alva.shows('hello from the right');
      const users = (await bruno.publications()).map(({ user }) => user);
      assert.deepEqual(users, ['Alva', 'Bruno']);
    }));

  await test('presence shows both, and the leave of a closed window after the grace', () =>
    pair(context, 'presence', async (alva, bruno) => {
      const both = ({ members }) => members.toSorted().join() === 'Alva,Bruno';
      await alva.until('both are here', both);
      await bruno.until('both are here', both);
      await bruno.close();
      await alva.until('Bruno has left', ({ members }) => members.join() === 'Alva');
      await alva.shows('Bruno left');
    }));

  await test('who comes later is shown what was said before', () =>
    pair(context, 'history', async (alva, bruno) => {
      await alva.say('said before Chiara came');
      await bruno.heard('said before Chiara came');
      const chiara = await DemoWindow.join(browser, server.url, { nick: 'Chiara', room: 'history' });
      await chiara.shows('said before Chiara came');
      assert.equal((await chiara.state()).received, 0, 'history is not counted as received');
      await chiara.close();
    }));

  await test('words of others are text, whatever they look like', () =>
    pair(context, 'hostile', async (alva, bruno) => {
      const words = '<img src=x onerror="document.title=1"><script>document.title=2</script> \u202e &amp;';
      await alva.paste(words);
      await bruno.heard(words);
      await bruno.shows('<img src=x onerror=');
      const found = await bruno.page.evaluate(() => document.querySelectorAll('#log img, #log script').length);
      assert.equal(found, 0);
      assert.equal(await bruno.page.title(), 'hostile · Trunkline');
    }));

  await test('a message that is too large is refused in words, and the line lives', () =>
    pair(context, 'too-large', async (alva, bruno) => {
      await alva.paste('x'.repeat(70_000));
      await alva.shows('not said:');
      await alva.say('a smaller one');
      await bruno.heard('a smaller one');
      assert.equal((await alva.state()).state, 'live');
      assert.deepEqual(await bruno.texts(), ['a smaller one']);
    }));

  await test('a nickname that the server refuses brings the form back, with the reason', async () => {
    const nick = 'n'.repeat(300);
    const window = await DemoWindow.join(browser, server.url, { nick, room: 'nick' });
    const problem = () => window.page.evaluate(() => document.querySelector('#entry-problem').textContent);
    await until('a problem is shown', problem);
    assert.ok(await window.page.evaluate(() => !document.querySelector('#entry').hidden), 'the form is back');
    await window.close();
  });
}
