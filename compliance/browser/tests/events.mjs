// A page with nothing but the browser's own EventSource: its URL keeps the ticket that it came with first, and it comes back by
// itself with the id of the last event that it got.

import assert from 'node:assert/strict';

import { until } from '../lib/check.mjs';
import { startRelay } from '../lib/relay.mjs';

const CUTS = 3;

export async function eventTests({ test, browser, server }) {
  const relay = await startRelay(server.port);

  await test(`an EventSource survives ${CUTS} cuts on its spent ticket, with nothing lost and nothing twice`, async () => {
    const page = await browser.newPage();
    try {
      await page.goto(relay.url);
      await page.evaluate(listen, 'room:events');
      const seen = () => page.evaluate(() => window.heard);
      await until('it listens', async () => (await seen()).subscribed === 1);
      let number = 0;
      for (let cut = 1; cut <= CUTS; cut += 1) {
        await publish(server, 'room:events', (number += 1));
        await until('it hears', async () => (await seen()).data.at(-1) === number);
        relay.cut();
        for (let missed = 0; missed < 3; missed += 1) await publish(server, 'room:events', (number += 1));
        await until(`it is back after cut ${cut}`, async () => (await seen()).subscribed === cut + 1);
      }
      const { data, recovered, sessions } = await seen();
      assert.deepEqual(data, Array.from({ length: number }, (_, index) => index + 1));
      assert.equal(recovered, CUTS);
      assert.equal(sessions, CUTS + 1, 'each time a token of its own');
    } finally {
      await page.close();
    }
  });

  await test('an EventSource that is ended for good asks once more and gives up', async () => {
    const page = await browser.newPage();
    try {
      await page.goto(relay.url);
      await page.evaluate(listen, 'room:ended');
      await until('it listens', async () => (await page.evaluate(() => window.heard)).subscribed === 1);
      // The same session by another way in: the stream is told to go.
      await page.evaluate(async (url) => {
        window.other = new WebSocket(`${url.replace('http', 'ws')}connect`);
        await new Promise((resolve) => (window.other.onopen = resolve));
        window.other.send(JSON.stringify({ id: 1, connect: { session: window.token } }));
      }, relay.url);
      await until('it has given up', () => page.evaluate(() => window.source.readyState === EventSource.CLOSED));
      assert.deepEqual((await page.evaluate(() => window.heard)).subscribed, 1);
    } finally {
      await page.close();
    }
  });

  relay.stop();
}

async function publish(server, channel, data) {
  const ticket = await mint(server.url, 'publisher');
  const response = await fetch(`${server.url}commands?ticket=${ticket}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ id: 1, publish: { channel, data } }),
  });
  assert.equal(response.status, 200, await response.text());
}

async function mint(url, user) {
  const response = await fetch(`${url}dev/ticket`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ user }),
  });
  return (await response.json()).ticket;
}

/** Runs in the page. */
async function listen(channel) {
  const response = await fetch('/dev/ticket', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ user: 'listener' }),
  });
  const { ticket } = await response.json();
  window.heard = { data: [], subscribed: 0, recovered: 0, sessions: 0 };
  window.source = new EventSource(`/events?${new URLSearchParams({ channels: channel, ticket })}`);
  window.source.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    const { heard } = window;
    if (message.connected) {
      window.token = message.connected.session;
      heard.sessions += 1;
    } else if (message.ok) {
      heard.data.push(...message.ok.publications.map((publication) => publication.data));
      heard.recovered += Number(message.ok.recovered);
      heard.subscribed += 1;
    } else if (message.pub) {
      heard.data.push(message.pub.data);
    }
  };
}
