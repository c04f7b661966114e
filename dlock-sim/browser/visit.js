// A headless Chromium, and visits to pages in it that notice whatever a page should not do.

import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { after } from 'node:test';
import puppeteer from 'puppeteer-core';

import * as settings from './settings.js';

export const WIDE = 1280;
export const NARROW = 800;

/** Starts a Chromium that is stopped after the tests of the calling file. */
export async function startChromium() {
  const browser = await puppeteer.launch({
    executablePath: settings.chromium,
    // Chromium ends with us, however we end.
    pipe: true,
    // A page that hangs is one failed test, not a lane that stands still.
    protocolTimeout: 20_000,
    args: [
      // Root and many containers cannot have a sandbox; the pages are our own.
      '--no-sandbox',
      '--disable-dev-shm-usage',
      // Whatever a page asks for stays on this machine, and is reported.
      '--host-resolver-rules=MAP * ~NOTFOUND',
      '--force-color-profile=srgb',
    ],
  });
  after(() => browser.close());
  return browser;
}

/** Tabs that nobody is in: to open one takes longer than to load a page. */
const idle = [];

/**
 * Opens a page of the catalogue.
 *
 * Without `javascript` the page's own scripts do not run; what a test evaluates does, as long as it is not async.
 */
export async function visit(browser, name, { hash = '', ...how } = {}) {
  const opened = await blank(browser, how);
  await opened.open(name, hash);
  return opened;
}

/** An empty page. */
export async function blank(browser, { width = WIDE, dark = false, javascript = true } = {}) {
  const page = idle.pop() ?? await browser.newPage();
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }]);
  await page.setJavaScriptEnabled(javascript);
  return new Visit(page, javascript);
}

class Visit {
  /** Sentences about what the page did that it should not. */
  complaints = [];
  #expected = new Set(['about:blank']);
  #listeners = {
    console: (message) => this.#heard(message.type(), message.text()),
    pageerror: (error) => this.complaints.push(`an error in the page: ${error.message ?? error}`),
    request: (request) => this.#asked(request.url()),
  };

  constructor(page, javascript) {
    this.page = page;
    this.javascript = javascript;
    for (const [event, listener] of Object.entries(this.#listeners)) page.on(event, listener);
  }

  /** Opens a page of the catalogue, as if from elsewhere. */
  async open(name, hash = '') {
    const url = pathToFileURL(path.join(settings.pages(), `${name}.html`)).href;
    this.#expected.add(url);
    // Else another hash would not load the page again.
    if (this.page.url() !== 'about:blank') await this.page.goto('about:blank');
    await this.page.goto(url + hash, { waitUntil: 'load' });
    await this.settled();
  }

  /** What was asked of the page is drawn. */
  async settled() {
    // Without scripts nothing is drawn later, and no promise is ever kept.
    if (!this.javascript) return;
    await this.page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  }

  async screenshot(name) {
    if (!settings.screenshots) return;
    fs.mkdirSync(settings.screenshots, { recursive: true });
    await this.page.screenshot({ path: path.join(settings.screenshots, `${name}.png`), fullPage: true });
  }

  /** Leaves the page as if it had never been there. */
  async close() {
    for (const [event, listener] of Object.entries(this.#listeners)) this.page.off(event, listener);
    await this.page.evaluate(() => {
      // An empty page may not have any.
      if (location.protocol !== 'about:') localStorage.clear();
    });
    await this.page.goto('about:blank');
    idle.push(this.page);
  }

  #heard(type, text) {
    if (type === 'error' || type === 'warn') this.complaints.push(`a console message (${type}): ${text}`);
  }

  #asked(url) {
    const inlinePicture = url.startsWith('data:image/');
    if (!inlinePicture && !this.#expected.has(url.split('#')[0])) {
      this.complaints.push(`a request: ${url.slice(0, 200)}`);
    }
  }
}
