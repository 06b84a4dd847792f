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
  chromium: ({ proxy, certificate, flags = [] }) => ({
    executablePath: process.env.CHROMIUM,
    headless: true,
    args: [
      ...CHROMIUM_FLAGS,
      ...(proxy ? [`--proxy-server=${proxy}`] : []),
      // One key is trusted, not every certificate that is no good.
      ...(certificate ? [`--ignore-certificate-errors-spki-list=${certificate.spki}`] : []),
      ...flags,
    ],
  }),
  firefox: ({ certificate, preferences }) => ({
    browser: 'firefox',
    executablePath: process.env.FIREFOX,
    headless: true,
    acceptInsecureCerts: Boolean(certificate),
    extraPrefsFirefox: preferences,
  }),
};

export const NAMES = Object.keys(LAUNCH);

/**
 * `proxy` (Chromium only): where everything goes that is not for loopback. `certificate`: one to trust. `flags` (Chromium)
 * and `preferences` (Firefox): whatever else.
 */
export function launch(name, options = {}) {
  return puppeteer.launch(LAUNCH[name](options));
}

/** Ends a browser as a crash would: no page says goodbye. */
export async function crash(browser) {
  const gone = new Promise((resolve) => browser.once('disconnected', resolve));
  browser.process().kill('SIGKILL');
  await gone;
}
