// What axe-core finds against the pages, by day and by night.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { barriers } from './barriers.js';
import { startChromium, visit } from './visit.js';

const browser = await startChromium();

for (const name of ['index', 'gc-pause', 'stale-release', 'replica-loss']) {
  for (const dark of [false, true]) {
    test(`${name} can be used by everybody, ${dark ? 'dark' : 'light'}`, async () => {
      const opened = await visit(browser, name, { dark });
      const found = await barriers(opened.page);
      await opened.close();
      if (found.length > 0) assert.fail(found.join('\n'));
    });
  }
}
