// Every page, wide and narrow: it keeps to itself, its texts can be read, its links lead somewhere.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { misplacedTakes, sidewaysScroll } from './seen/layout.js';
import { brokenLinks } from './seen/links.js';
import { badTexts } from './seen/texts.js';
import { scenarios } from './settings.js';
import { NARROW, WIDE, startChromium, visit } from './visit.js';

const browser = await startChromium();
const names = scenarios();

test('there are pages', () => assert.notEqual(names.length, 0));

for (const name of ['index', ...names]) {
  for (const width of [WIDE, NARROW]) {
    test(`${name} at ${width} px`, async () => {
      const opened = await visit(browser, name, { width });
      const { page, complaints } = opened;
      await opened.screenshot(`${name}-${width}-light`);
      complaints.push(...await page.evaluate(sidewaysScroll));
      complaints.push(...await page.evaluate(misplacedTakes, width === WIDE));
      complaints.push(...await page.evaluate(badTexts));
      if (name !== 'index') {
        // Pages of other stores than the usual one bear the store's name.
        const scenario = await page.$eval('body', (body) => body.dataset.scenario);
        assert.ok(name === scenario || name.startsWith(`${scenario}-`), `${name} is about ${scenario}`);
        if (width === WIDE) complaints.push(...await page.evaluate(brokenLinks));
        await page.click('#fold');
        await opened.settled();
        const folded = [...await page.evaluate(badTexts), ...await page.evaluate(sidewaysScroll)];
        complaints.push(...folded.map((complaint) => `with #fold clicked: ${complaint}`));
      }
      await opened.close();
      if (complaints.length > 0) assert.fail(complaints.join('\n'));
    });
  }
}

for (const name of ['index', 'gc-pause', 'stale-release', 'replica-loss']) {
  test(`${name} in the dark is pictured`, async () => {
    const opened = await visit(browser, name, { dark: true });
    await opened.screenshot(`${name}-${WIDE}-dark`);
    await opened.close();
  });
}

test('the index has a row for every page, and no link but to them', async () => {
  const opened = await visit(browser, 'index');
  const { page } = opened;
  const rows = await page.$$eval('#catalogue tr[data-scenario]', (rows) => rows.map((row) => ({
    name: row.dataset.scenario,
    links: [...row.querySelectorAll('a')].map((link) => link.getAttribute('href')),
  })));
  const pending = await page.$$eval('#catalogue tr[data-pending] a', (links) => links.map((link) => link.href));
  await opened.close();
  assert.deepEqual(rows.flatMap(({ links }) => links).sort(), names.map((name) => `${name}.html`).sort());
  for (const { name, links } of rows) assert.ok(links[0].startsWith(name), `${name} links to ${links}`);
  assert.deepEqual(pending, []);
});
