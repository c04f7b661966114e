// What the tests are told by environment variables; `cargo xtask test browser` sets them.

import fs from 'node:fs';
import path from 'node:path';

/** Where pictures of the pages go, if they are wanted. */
export const screenshots = folder('DLOCK_TEST_SCREENSHOTS');

/** The program Chromium. */
export const chromium = process.env.DLOCK_TEST_CHROMIUM || '/usr/bin/chromium';

/** What `dlock-sim run gc-pause --perfetto` has written. */
export const chromeTrace = process.env.DLOCK_TEST_CHROME_TRACE;

/** The folder with Perfetto's `engine_bundle.js`. */
export const traceProcessor = folder('DLOCK_TEST_TRACE_PROCESSOR');

/** The folder that `dlock-sim catalogue --out` has written. */
export function pages() {
  const named = folder('DLOCK_TEST_PAGES');
  if (!named) throw new Error('DLOCK_TEST_PAGES must name the folder that `dlock-sim catalogue --out FOLDER` wrote');
  return named;
}

/** The names of the scenarios that have a page. */
export function scenarios() {
  const files = fs.readdirSync(pages()).filter((file) => file.endsWith('.html') && file !== 'index.html');
  return files.map((file) => path.basename(file, '.html')).sort();
}

function folder(variable) {
  const named = process.env[variable];
  return named ? path.resolve(named) : undefined;
}
