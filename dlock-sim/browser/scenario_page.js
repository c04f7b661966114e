// A scenario's page as a reader uses it: keys, buttons, diagrams, and what is shown where the cursor is.

import assert from 'node:assert/strict';

export class ScenarioPage {
  constructor(page) {
    this.page = page;
  }

  /** What the page shows at its cursor. */
  async shown() {
    return this.page.evaluate(() => {
      const text = (selector) => document.querySelector(selector).textContent.trim();
      const take = document.querySelector('.take.selected');
      const address = new URLSearchParams(location.hash.slice(1));
      return {
        way: take?.dataset.way,
        event: Number(text('#event').match(/\d+/)?.[0]),
        sentence: text('#event'),
        panel: text('#panel'),
        /** The cursor, as pixels from the left of its diagram. */
        line: [...take?.querySelectorAll('svg.diagram') ?? []].find((diagram) => diagram.checkVisibility())?.querySelector('line.cursor').getBoundingClientRect().left - take?.getBoundingClientRect().left,
        hash: location.hash,
        addressed: { way: address.get('way') ?? document.querySelector('.take').dataset.way, event: Number(address.get('e')) },
      };
    });
  }

  /** Waits until it shows what `isWanted` wants. */
  async shows(what, isWanted) {
    let shown;
    for (let frame = 0; frame < 120; frame += 1) {
      shown = await this.shown();
      if (isWanted(shown)) return shown;
      await this.frames(1);
    }
    return assert.fail(`never came: ${what}; it shows ${JSON.stringify(shown, undefined, 2)}`);
  }

  async frames(count) {
    await this.page.evaluate(async (count) => {
      for (let frame = 0; frame < count; frame += 1) await new Promise((next) => requestAnimationFrame(next));
    }, count);
  }

  async press(key) {
    await this.page.keyboard.press(key);
    await this.frames(2);
    return this.shown();
  }

  async click(selector) {
    await this.page.click(selector);
    await this.frames(2);
    return this.shown();
  }

  /** To the first event of the selected take. */
  async rewind() {
    await this.page.focus('#scrubber');
    await this.page.keyboard.press('Home');
    await this.page.evaluate(() => document.activeElement.blur());
    await this.frames(2);
    return this.shown();
  }

  /** The ways of the takes, in their order. */
  async ways() {
    return this.page.$$eval('.take', (takes) => takes.map((take) => take.dataset.way));
  }

  /** Clicks on the diagram of a take, off any text or arrow that it may have. */
  async select(way) {
    await this.page.click(`.take[data-way="${way}"] svg.diagram.folded`, { offset: { x: 3, y: 3 } });
    await this.frames(2);
    return this.shown();
  }

  async isVisible(selector) {
    return this.page.$$eval(selector, (elements) => elements.length > 0 && elements.every((element) => {
      const { width, height } = element.getBoundingClientRect();
      return width > 0 && height > 0 && element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    }));
  }
}
