// Which browser runs which tests, over servers of its own.

import { NAMES, launch } from './lib/browser.mjs';
import { Checks } from './lib/check.mjs';
import { startProxy } from './lib/proxy.mjs';
import { Trunkline } from './lib/trunkline.mjs';
import { echoTests } from './tests/echo.mjs';
import { endingTests } from './tests/ending.mjs';
import { eventTests } from './tests/events.mjs';
import { homeTests } from './tests/home.mjs';
import { http2Tests } from './tests/http2.mjs';
import { lineTests } from './tests/line.mjs';
import { pictureTests } from './tests/picture.mjs';
import { positionTests } from './tests/position.mjs';
import { talkTests } from './tests/talk.mjs';

const SUITES = {
  chromium: [positionTests, talkTests, lineTests, pictureTests, echoTests, eventTests, endingTests, http2Tests, homeTests],
  firefox: [positionTests, talkTests, lineTests, echoTests, eventTests, endingTests, http2Tests],
};

const chosen = process.argv.slice(2);
const unknown = chosen.filter((name) => !NAMES.includes(name));
if (unknown.length > 0) {
  console.error(`no such browser: ${unknown.join(', ')}; there are ${NAMES.join(', ')}`);
  process.exit(2);
}

const checks = new Checks();
for (const name of chosen.length > 0 ? chosen : NAMES) {
  const stops = [];
  try {
    const context = await prepare(name, stops);
    console.log(`-- ${await context.browser.version()}`);
    for (const suite of SUITES[name]) await suite(context);
  } catch (error) {
    await checks.test(`${name}: browser and servers start`, () => Promise.reject(error));
  }
  for (const stop of stops.reverse()) await stop().catch(({ message }) => console.error(message));
}
process.exit(checks.summary());

/** What every suite gets. `stops` learns how to end what was started, also when the next start fails. */
async function prepare(name, stops) {
  const server = await Trunkline.start('serve');
  stops.push(() => server.stop());
  const echo = await Trunkline.start('echo');
  stops.push(() => echo.stop());
  const proxy = await startProxy();
  stops.push(async () => proxy.stop());
  const browser = await launch(name, { proxy: proxy.url });
  stops.push(() => browser.close());
  const windows = [];
  return { name, server, echo, proxy, browser, windows, test: (what, run) => checks.test(`${name}: ${what}`, run) };
}
