// The cursor of a scenario's page: by keys, buttons, scrubber and links.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ScenarioPage } from './scenario_page.js';
import { startChromium, visit } from './visit.js';

const browser = await startChromium();

/** A test on a page that is opened for it. */
function reading(name, what, body) {
  test(`${name}: ${what}`, async () => {
    const opened = await visit(browser, name);
    await body(new ScenarioPage(opened.page), opened).finally(() => opened.close());
    assert.deepEqual(opened.complaints, []);
  });
}

for (const name of ['gc-pause', 'stale-release']) {
  reading(name, 'the arrow keys go to the next event and back', async (reader) => {
    const first = await reader.rewind();
    const second = await reader.press('ArrowRight');
    assert.ok(second.event > first.event, `${first.event}, then ${second.event}`);
    assert.notEqual(second.sentence, first.sentence);
    const third = await reader.press('ArrowRight');
    assert.ok(third.event > second.event, `${second.event}, then ${third.event}`);
    assert.equal((await reader.press('ArrowLeft')).event, second.event);
    assert.equal((await reader.press('ArrowLeft')).event, first.event);
  });

  reading(name, 'before the first event and after the last there is nothing', async (reader) => {
    const first = await reader.rewind();
    assert.equal((await reader.press('ArrowLeft')).event, first.event);
    await reader.page.focus('#scrubber');
    const last = await reader.press('End');
    await reader.page.evaluate(() => document.activeElement.blur());
    assert.equal((await reader.press('ArrowRight')).event, last.event);
  });

  reading(name, 'the buttons do what the keys do', async (reader) => {
    const first = await reader.rewind();
    const second = await reader.press('ArrowRight');
    await reader.rewind();
    assert.equal((await reader.click('#next')).event, second.event);
    assert.equal((await reader.click('#previous')).event, first.event);
  });

  reading(name, 'with the scrubber in focus an arrow key moves one event, not two', async (reader) => {
    await reader.rewind();
    const second = await reader.press('ArrowRight');
    const third = await reader.press('ArrowRight');
    await reader.page.focus('#scrubber');
    await reader.press('Home');
    assert.equal((await reader.press('ArrowRight')).event, second.event);
    assert.equal((await reader.press('ArrowRight')).event, third.event);
    assert.equal((await reader.press('ArrowLeft')).event, second.event);
  });

  reading(name, 'the scrubber moves the cursor, the panel and the address', async (reader) => {
    const first = await reader.rewind();
    await reader.page.focus('#scrubber');
    const last = await reader.press('End');
    assert.ok(last.event > first.event);
    assert.ok(last.line > first.line, `the line went from ${first.line} to ${last.line}`);
    assert.notEqual(last.panel, first.panel);
    assert.notEqual(last.panel, '');
    assert.equal(last.addressed.event, last.event, last.hash);
    const middle = await reader.page.$eval('#scrubber', (scrubber) => {
      scrubber.value = (Number(scrubber.min) + Number(scrubber.max)) / 2;
      scrubber.dispatchEvent(new Event('input', { bubbles: true }));
    }).then(() => reader.shows('an event in the middle', (shown) => shown.event < last.event));
    assert.ok(middle.event > first.event);
    assert.ok(middle.line > first.line && middle.line < last.line, `${first.line}, ${middle.line}, ${last.line}`);
  });

  reading(name, 'a click on a diagram selects its take', async (reader) => {
    for (const way of (await reader.ways()).reverse()) {
      const selected = await reader.select(way);
      assert.equal(selected.way, way);
      await reader.rewind();
      const moved = await reader.press('ArrowRight');
      assert.equal(moved.way, way);
      assert.deepEqual(moved.addressed, { way, event: moved.event }, moved.hash);
    }
  });

  reading(name, 'its address leads back to where the cursor is', async (reader, opened) => {
    for (const way of (await reader.ways()).reverse()) {
      await reader.select(way);
      await reader.rewind();
      for (let step = 0; step < 7; step += 1) await reader.press('ArrowRight');
      const left = await reader.shown();
      await opened.open(name, left.hash);
      const found = await reader.shown();
      for (const what of ['way', 'event', 'sentence', 'panel', 'hash']) assert.equal(found[what], left[what], what);
      assert.ok(Math.abs(found.line - left.line) <= 1, `the line is at ${found.line}, not at ${left.line}`);
    }
  });
}

reading('gc-pause', 'a chip leads to the first violation, and so do `n` and its button', async (reader) => {
  const [firstWay] = await reader.ways();
  const chips = await reader.page.$$eval('a.chip[href^="#"]', (chips) => chips.map((chip) => chip.getAttribute('href')));
  const targets = chips.map((href) => new URLSearchParams(href.slice(1)));
  const events = targets
    .filter((target) => target.has('e') && (target.get('way') ?? firstWay) === firstWay)
    .map((target) => Number(target.get('e')));
  assert.ok(events.length > 0, `no chip leads to an event of ${firstWay}: ${chips}`);
  const first = Math.min(...events);

  await reader.rewind();
  await reader.click(`a.chip[href="${chips[0]}"]`);
  const byChip = await reader.shown();
  assert.equal(byChip.event, Number(targets[0].get('e')));
  assert.equal(byChip.way, targets[0].get('way') ?? firstWay);

  await reader.select(firstWay);
  await reader.rewind();
  assert.equal((await reader.press('n')).event, first);
  await reader.rewind();
  assert.equal((await reader.click('#next-violation')).event, first);
});

reading('gc-pause', 'a caption leads to its event', async (reader) => {
  const captions = await reader.page.$$eval('ol#narration li[data-e]', (items) => items.map((item) => item.dataset.e));
  assert.ok(captions.length > 0);
  const last = captions.at(-1);
  await reader.rewind();
  await reader.click(`ol#narration li[data-e="${last}"] a`);
  assert.equal((await reader.shown()).event, Number(last));
});

for (const [what, toggle] of [
  ['the space bar', (reader) => reader.press(' ')],
  ['its button', (reader) => reader.click('#play')],
]) {
  reading('gc-pause', `${what} plays and pauses`, async (reader) => {
    const first = await reader.rewind();
    await toggle(reader);
    await reader.shows('a later event', (shown) => shown.event > first.event);
    const paused = await toggle(reader);
    // At 60 a second: long enough for several steps.
    await reader.frames(60);
    assert.equal((await reader.shown()).event, paused.event);
  });
}
