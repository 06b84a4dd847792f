// Two windows in one room, for one test.

import assert from 'node:assert/strict';

import { DemoWindow } from './window.mjs';

/** Alva and Bruno join `room`; afterwards neither may have lost (unless `lossy`), doubled or complained of anything. */
export async function pair({ browser, server }, room, run, { lossy = false } = {}) {
  const alva = await DemoWindow.join(browser, server.url, { nick: 'Alva', room });
  const bruno = await DemoWindow.join(browser, server.url, { nick: 'Bruno', room });
  try {
    await alva.live();
    await bruno.live();
    await run(alva, bruno);
    for (const window of [alva, bruno]) {
      assert.deepEqual(window.complaints, [], `the console of ${window.nick}`);
      if (window.page.isClosed()) continue;
      const { duplicates, missing, gaps } = await window.state();
      assert.equal(duplicates, 0, window.nick);
      if (!lossy) assert.deepEqual({ missing, gaps }, { missing: 0, gaps: 0 }, window.nick);
    }
  } finally {
    for (const { page } of [alva, bruno]) if (!page.isClosed()) await page.close();
  }
}
