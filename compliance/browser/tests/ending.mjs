// Ends without a goodbye: a browser that crashes, a server that is killed.

import assert from 'node:assert/strict';

import { crash, launch } from '../lib/browser.mjs';
import { pair } from '../lib/pair.mjs';
import { DemoWindow } from '../lib/window.mjs';

export async function endingTests(context) {
  const { name, test, server } = context;

  await test('a browser that crashes, without a Close frame, has left after the grace', () =>
    pair(context, 'crash', async (alva) => {
      const other = await launch(name);
      try {
        const dario = await DemoWindow.join(other, server.url, { nick: 'Dario', room: 'crash' });
        await dario.live();
        await alva.until('Dario is here', ({ members }) => members.includes('Dario'));
      } finally {
        await crash(other);
      }
      await alva.until('Dario has left', ({ members }) => !members.includes('Dario'));
      await alva.shows('Dario left');
    }));

  await test('a server that is stopped says so, and the windows come back when it does', () =>
    pair(context, 'stopped', async (alva, bruno) => {
      const { epoch } = await alva.state();
      await server.terminate();
      await alva.until('the line is gone', ({ state }) => state === 'waiting' || state === 'connecting');
      await alva.shows('The hub is going away');
      await server.restart();
      await alva.until('back at a new hub', (state) => state.state === 'live' && state.epoch !== epoch, 60_000);
      await bruno.until('back at a new hub', (state) => state.state === 'live' && state.epoch !== epoch, 60_000);
      await alva.say('good morning');
      await bruno.heard('good morning');
      alva.forgiveServerAway();
      bruno.forgiveServerAway();
    }));

  await test('a server killed with -9 and started again: the windows come back and say what was lost', () =>
    pair(context, 'killed', async (alva, bruno) => {
      await alva.say('one');
      await bruno.say('two');
      await alva.heard('two');
      await bruno.heard('two');
      const before = await alva.state();
      await server.kill();
      const away = ({ state }) => state === 'waiting' || state === 'connecting';
      await alva.until('the line is gone', away);
      await bruno.until('the line is gone', away);
      await alva.say('said while there is no server');
      await server.restart();

      const lost = await alva.reported('forgotten', 60_000);
      const { epoch } = await alva.live();
      assert.equal(lost.seen, 2);
      assert.equal(lost.epoch_before, before.epoch);
      assert.notEqual(epoch, before.epoch);
      await alva.shows('You had heard everything up to #2');
      await bruno.reported('forgotten', 60_000);
      await bruno.live();
      await bruno.shows('said while there is no server');
      await bruno.say('we are back');
      await alva.heard('we are back');
      await alva.until('both are here again', ({ members }) => members.length === 2);
      alva.forgiveServerAway();
      bruno.forgiveServerAway();
    }));
}
