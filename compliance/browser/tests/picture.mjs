// Pictures of the page, as a person would see it: kept for whoever reads the results, and for the README.

import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { until } from '../lib/check.mjs';
import { DemoWindow } from '../lib/window.mjs';

const OUT = new URL('../../out/browser/', import.meta.url);
const path = (name) => fileURLToPath(new URL(name, OUT));
const PHONE = { width: 390, height: 780 };

export async function pictureTests({ test, browser, server }) {
  await test('pictures: two windows side by side, cut and back', async () => {
    const room = 'harbour';
    const alva = await DemoWindow.join(browser, server.url, { nick: 'Alva', room });
    const bruno = await DemoWindow.join(browser, server.url, { nick: 'Bruno', room });
    await bruno.live();
    await alva.until('both are here', ({ members }) => members.length === 2);
    await alva.say('Hello from the left window.');
    await bruno.heard('Hello from the left window.');
    await bruno.say('Hello Alva! Cut your line, I will go on talking.');
    await alva.heard('Hello Alva! Cut your line, I will go on talking.');
    await alva.press('cut');
    await alva.until('cut', ({ state }) => state === 'cut');
    await alva.screenshot(path('cut.png'));
    for (const text of ['One, while you are away.', 'Two.', 'Three.']) await bruno.say(text);
    await alva.reported('return');
    await alva.say('Got all three.');
    await bruno.heard('Got all three.');
    // The first round trip of a link shares it with the recovery: the next one is of a calm line.
    const { round_trip_ms: busy } = await alva.state();
    await alva.until('another round trip', ({ round_trip_ms: ms }) => ms !== busy);
    const sparks = () => alva.page.evaluate(() => document.querySelectorAll('#line .spark').length);
    await until('the wire is calm', async () => (await sparks()) === 0);
    await alva.screenshot(path('left.png'));
    await bruno.screenshot(path('right.png'));
    await sideBySide(browser, ['left.png', 'right.png'], 'two-windows.png');

    const phone = await DemoWindow.join(browser, server.url, { nick: 'Chiara', room, ...PHONE });
    await phone.shows('Got all three.');
    await phone.screenshot(path('phone.png'));
    const dark = await DemoWindow.join(browser, server.url, { nick: 'Dario', room, dark: true });
    await dark.shows('Got all three.');
    await dark.screenshot(path('dark.png'));
    for (const window of [phone, dark]) {
      const wide = await window.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `nothing stands over the edge: ${wide} px`);
    }
    for (const window of [alva, bruno, phone, dark]) await window.close();
    for (const name of ['two-windows.png', 'cut.png', 'phone.png', 'dark.png']) {
      assert.ok((await stat(path(name))).size > 10_000, `${name} shows something`);
    }
  });

  await test('the form is usable without a mouse: labelled, focused, sent with Enter', async () => {
    const page = await browser.newPage();
    await page.setViewport({ width: 720, height: 760 });
    await page.goto(server.url);
    await page.waitForSelector('#entry:not([hidden])');
    const label = await page.evaluate(() => document.activeElement.labels[0].textContent);
    assert.equal(label, 'Nickname');
    await page.screenshot({ path: path('entry.png') });
    await page.keyboard.type('Edda');
    await page.keyboard.press('Enter');
    await until('in the room', () => page.evaluate(() => window.trunkline.state === 'live'));
    assert.equal(await page.evaluate(() => document.activeElement.id), 'text');
    await page.close();
  });
}

async function sideBySide(browser, names, to) {
  const images = await Promise.all(names.map(async (name) => (await readFile(path(name))).toString('base64')));
  const page = await browser.newPage();
  await page.setViewport({ width: 2 * 720 + 3 * 24, height: 760 + 2 * 24 });
  await page.setContent(`<body style="margin:24px;display:flex;gap:24px;background:#b9c6cb">${images
    .map((data) => `<img style="border-radius:12px" src="data:image/png;base64,${data}">`)
    .join('')}</body>`);
  await writeFile(path(to), await page.screenshot());
  await page.close();
}
