// What a scenario's page shows: without scripts, folded, to a class that is to guess, in the dark.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ScenarioPage } from './scenario_page.js';
import { startChromium, visit } from './visit.js';

const browser = await startChromium();

async function reading(how, body) {
  const opened = await visit(browser, 'gc-pause', how);
  await body(new ScenarioPage(opened.page), opened.page).finally(() => opened.close());
  assert.deepEqual(opened.complaints, []);
}

test('without scripts the verdict, both diagrams and the captions are there', () =>
  reading({ javascript: false }, async (reader, page) => {
    assert.ok(await reader.isVisible('#verdict'));
    assert.notEqual(await page.$eval('#verdict', (verdict) => verdict.textContent.trim()), '');
    assert.deepEqual(await reader.ways(), ['unfenced', 'fenced']);
    for (const way of ['unfenced', 'fenced']) {
      assert.ok(await reader.isVisible(`.take[data-way="${way}"] svg.folded`), way);
      assert.ok(await reader.isVisible(`#verdict .outcome[data-way="${way}"]`), way);
    }
    assert.ok(await reader.isVisible('ol#narration li[data-e]'));
    assert.ok(await reader.isVisible('#replay'));
  }));

test('a diagram is a picture with a name', () =>
  reading({}, async (_reader, page) => {
    const names = await page.$$eval('.take svg.diagram', (diagrams) => diagrams.filter((diagram) => diagram.checkVisibility()).map((diagram) => diagram.role === 'img' && (
      diagram.getAttribute('aria-label')
      || (diagram.getAttribute('aria-labelledby') ?? '').split(/\s+/).map((id) => document.getElementById(id)?.textContent ?? '').join(' ').trim()
    )));
    assert.equal(names.length, 2);
    assert.ok(names.every(Boolean), `${names}`);
    assert.notEqual(names[0], names[1]);
  }));

test('folding idle time draws the diagram anew, and the cursor stays at its event', () =>
  reading({}, async (reader, page) => {
    const drawing = () => page.$$eval('.take.selected svg.diagram', (diagrams) => diagrams.find((diagram) => diagram.checkVisibility()).outerHTML);
    await reader.rewind();
    await reader.press('n');
    const [before, drawnBefore] = [await reader.shown(), await drawing()];
    const after = await reader.click('#fold');
    assert.equal(after.event, before.event);
    assert.notEqual(await drawing(), drawnBefore);
    assert.equal((await reader.click('#fold')).event, before.event);
    assert.equal(await drawing(), drawnBefore);
  }));

test('who predicts sees no outcome until it is revealed', () =>
  reading({}, async (reader, page) => {
    const predicting = () => page.$eval('body', (body) => body.classList.contains('predict'));
    await reader.click('#predict');
    assert.ok(await predicting());
    const hidden = await page.$$eval('.outcome, #verdict', (all) => all.filter((one) =>
      one.checkVisibility({ opacityProperty: true, visibilityProperty: true })).map((one) => one.textContent));
    assert.deepEqual(hidden, [], 'these can be read');
    await reader.click('#reveal');
    assert.ok(!await predicting());
    assert.ok(await reader.isVisible('.outcome'));
    assert.ok(await reader.isVisible('#verdict'));
  }));

test('the button copies the command', () =>
  reading({}, async (_reader, page) => {
    const session = await page.createCDPSession();
    await session.send('Browser.grantPermissions', { permissions: ['clipboardReadWrite', 'clipboardSanitizedWrite'] });
    await page.click('#copy');
    const command = await page.$eval('#replay', (replay) => replay.textContent.trim());
    assert.match(command, /gc-pause/);
    assert.equal((await page.evaluate(() => navigator.clipboard.readText())).trim(), command);
  }));

for (const dark of [false, true]) {
  test(`in the ${dark ? 'dark' : 'light'} the page is so, and the button turns it over`, async () => {
    await reading({ dark }, async (reader, page) => {
      const look = () => page.evaluate(() => {
        const colour = (element, property) => getComputedStyle(element)[property].match(/[\d.]+/g).map(Number);
        const opaque = [document.body, document.documentElement].map((box) => colour(box, 'backgroundColor'))
          .find(([, , , alpha = 1]) => alpha > 0) ?? [255, 255, 255];
        const brightness = ([red, green, blue]) => (0.3 * red + 0.6 * green + 0.1 * blue) / 255;
        return {
          ground: brightness(opaque),
          letters: brightness(colour(document.querySelector('#verdict'), 'color')),
          theme: document.documentElement.dataset.theme,
        };
      });
      const isDark = ({ ground, letters }) => ground < 0.3 && letters > 0.6;
      const isLight = ({ ground, letters }) => ground > 0.7 && letters < 0.4;
      const seen = await look();
      assert.ok(dark ? isDark(seen) : isLight(seen), JSON.stringify(seen));
      await reader.click('#theme');
      const turned = await look();
      assert.equal(turned.theme, dark ? 'light' : 'dark');
      assert.ok(dark ? isLight(turned) : isDark(turned), JSON.stringify(turned));
      await reader.click('#theme');
      const back = await look();
      assert.ok(dark ? isDark(back) : isLight(back), JSON.stringify(back));
    });
  });
}
