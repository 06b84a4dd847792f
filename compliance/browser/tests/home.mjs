// The page stays at home: nothing of it asks anything of anybody else. Runs last, over all that the other tests did.

import assert from 'node:assert/strict';

export async function homeTests({ test, browser, server, proxy }) {
  await test('the page comes with a policy that allows it nothing from elsewhere, and no inline code', async () => {
    const response = await fetch(server.url);
    const policy = response.headers.get('content-security-policy') ?? '';
    assert.match(policy, /default-src 'self'/);
    assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval|\*|https?:/);
    const html = await response.text();
    assert.doesNotMatch(html, /<style|style=|<script>|\son\w+=|https?:\/\//i);
  });

  await test('every request of the page goes to its own origin', async () => {
    const asked = [];
    const page = await browser.newPage();
    page.on('request', (request) => asked.push(request.url()));
    await page.goto(`${server.url}#room=home&nick=Alva`);
    await page.waitForFunction(() => window.trunkline.state === 'live', { polling: 50 });
    await page.close();
    const paths = asked.map((url) => new URL(url)).map(({ origin, pathname }) => [origin, pathname]);
    assert.deepEqual([...new Set(paths.map(([origin]) => `${origin}/`))], [server.url]);
    assert.ok(paths.some(([, pathname]) => pathname === '/app.js'), 'the log has seen the page load');
  });

  await test('in all of the tests nothing was asked of any other host, by pages, workers or sockets', () => {
    assert.deepEqual([...proxy.hosts], []);
    return Promise.resolve();
  });

  await test('the proof has eyes: what is meant for elsewhere does arrive at the proxy', async () => {
    const page = await browser.newPage();
    await page.goto('http://elsewhere.invalid/').catch(() => {});
    await page.close();
    assert.ok(proxy.hosts.has('elsewhere.invalid'));
  });
}
