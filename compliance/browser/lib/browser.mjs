// Real browsers, each with a profile of its own: Chromium over CDP, stock Firefox over WebDriver BiDi.

import puppeteer from 'puppeteer-core';

const CHROMIUM_FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const LAUNCH = {
  // Puppeteer makes a new user data directory for each launch, and removes it.
  chromium: ({ proxy }) => ({
    executablePath: process.env.CHROMIUM,
    headless: true,
    args: proxy ? [...CHROMIUM_FLAGS, `--proxy-server=${proxy}`] : CHROMIUM_FLAGS,
  }),
  firefox: () => ({ browser: 'firefox', executablePath: process.env.FIREFOX, headless: true }),
};

export const NAMES = Object.keys(LAUNCH);

/** `proxy` (Chromium only): where everything goes that is not for loopback. */
export function launch(name, { proxy } = {}) {
  return puppeteer.launch(LAUNCH[name]({ proxy }));
}

/** Ends a browser as a crash would: no page says goodbye. */
export async function crash(browser) {
  const gone = new Promise((resolve) => browser.once('disconnected', resolve));
  browser.process().kill('SIGKILL');
  await gone;
}
