// One window with the demo page in it, as a person would use it. What it reads is what the person sees, and the
// counters of `window.trunkline`.

import { until } from './check.mjs';

/** What a browser itself writes to the console when a server is away; a page cannot keep it from doing so. */
const SERVER_AWAY = /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|WebSocket connection to|can.t establish a connection/;

export class DemoWindow {
  complaints = [];

  /** Joins `room` as `nick` by the address, as a shared link would. */
  static async join(browser, base, { nick, room, width = 720, height = 760, dark = false }) {
    const page = await browser.newPage();
    const window = new DemoWindow();
    Object.assign(window, { page, nick });
    await page.setViewport({ width, height });
    if (dark) await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
    page.on('pageerror', (error) => window.complaints.push(`uncaught: ${error.message}`));
    page.on('console', (message) => {
      const text = `${message.type()}: ${message.text()}`;
      if (['error', 'warn', 'warning'].includes(message.type())) window.complaints.push(text);
    });
    await page.goto(`${base}#${new URLSearchParams({ room, nick })}`);
    return window;
  }

  /** The page's own account of itself, without the publications. */
  state() {
    return this.page.evaluate(() => {
      const { publications, ...rest } = window.trunkline;
      return structuredClone(rest);
    });
  }

  publications() {
    return this.page.evaluate(() => structuredClone(window.trunkline.publications));
  }

  /** What was said, as received: the texts in order. */
  async texts() {
    return (await this.publications()).map(({ data }) => data.text);
  }

  /** Waits for the state of the page to satisfy `holds`. */
  until(what, holds, ms) {
    return until(`${this.nick}: ${what}`, async () => {
      const state = await this.state();
      return holds(state) && state;
    }, ms);
  }

  live() {
    return this.until('live in the room', ({ state, epoch }) => state === 'live' && epoch !== null);
  }

  heard(text) {
    return until(`${this.nick} hears "${text}"`, async () => (await this.texts()).includes(text));
  }

  shows(text) {
    return until(`${this.nick} sees "${text}"`, async () => (await this.visible()).includes(text));
  }

  visible() {
    return this.page.evaluate(() => document.body.innerText);
  }

  async say(text) {
    await this.page.bringToFront();
    await this.page.type('#text', text);
    await this.page.keyboard.press('Enter');
  }

  /** For what nobody types by hand. */
  paste(text) {
    return this.page.evaluate((text) => {
      document.querySelector('#text').value = text;
      document.querySelector('#composer').requestSubmit();
    }, text);
  }

  async press(id) {
    await this.page.bringToFront();
    await this.page.click(`#${id}`);
  }

  reported(why, ms) {
    return until(`${this.nick} reports ${why}`, async () => (await this.state()).reports.find((r) => r.why === why), ms);
  }

  /** The browser's own words about a server that is away are no complaint of the page. */
  forgiveServerAway() {
    this.complaints = this.complaints.filter((text) => !SERVER_AWAY.test(text));
  }

  screenshot(path) {
    return this.page.screenshot({ path });
  }

  close() {
    return this.page.close();
  }
}
