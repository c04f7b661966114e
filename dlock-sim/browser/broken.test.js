// The checks are checked: pages that are wrong in one way each, and the same pages put right.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { barriers } from './barriers.js';
import { misplacedTakes, sidewaysScroll } from './seen/layout.js';
import { brokenLinks } from './seen/links.js';
import { badTexts } from './seen/texts.js';
import { blank, startChromium } from './visit.js';

const browser = await startChromium();

/** What a check, which runs in the page, says about a body. */
async function seen(check, body, ...args) {
  const opened = await blank(browser);
  await opened.page.setContent(`<!doctype html><html lang="en"><title>a page</title><body style="margin: 0">${body}</body></html>`);
  const complaints = await opened.page.evaluate(check, ...args);
  await opened.close();
  return complaints;
}

const diagram = (inside) => `<div class="take" data-way="ours"><svg class="diagram" width="600" height="100">${inside}</svg></div>`;
const chars = '<text x="10" y="50" font-size="12">C1 holds</text>';

for (const [what, body, complaint] of [
  ['texts that cover each other', diagram(`${chars}<text x="30" y="53" font-size="12">token 33</text>`), /“C1 holds” and “token 33” overlap in the diagram of ours/],
  ['lines that are too close', diagram(`${chars}<text x="10" y="58" font-size="12">token 33</text>`), /overlap/],
  ['parts of texts', diagram(`${chars}<text x="10" y="80">a <tspan x="30" y="52">token</tspan></text>`), /“C1 holds” and “a token” overlap/],
  ['a turned text across another', diagram(`${chars}<text transform="translate(20 70) rotate(-60)" font-size="9">held up</text>`), /“held up” overlap/],
  ['a text that is cut off', diagram('<text x="570" y="50">too far to the right</text>'), /“too far to the right” is cut off/],
  ['a text that is too small', `<div class="take" data-way="ours"><svg class="diagram" viewBox="0 0 600 100" width="300">${chars}</svg></div>`, /“C1 holds” is only 6\.0 px/],
  ['paragraphs that cover each other', '<p>The verdict of it all</p><p style="margin-top: -2em">The command</p>', /“The verdict of it all” and “The command” overlap on the page/],
]) {
  test(`seen: ${what}`, async () => {
    const complaints = await seen(badTexts, body);
    assert.equal(complaints.length, 1, complaints.join('\n'));
    assert.match(complaints[0], complaint);
  });
}

for (const [what, body] of [
  ['lines below each other', diagram(`${chars}<text x="10" y="62" font-size="12">token 33</text>`)],
  ['texts beside each other', diagram(`${chars}<text x="80" y="50" font-size="12">token 33</text>`)],
  ['a turned text above another, although their frames meet', diagram(`${chars}<text transform="translate(90 20) rotate(30)" font-size="12">renewal held up</text>`)],
  ['parts of one text', diagram('<text x="10" y="50"><tspan>C1</tspan><tspan> holds</tspan></text>')],
  ['a text with a halo', diagram(`${chars.replace('<text', '<text stroke="white"')}${chars}`)],
  ['what is hidden', diagram(`${chars}<g visibility="hidden">${chars.replace('C1', 'C2')}</g><g style="opacity: 0">${chars.replace('C1', 'C3')}</g><title>C4</title>`)],
  ['what is scrolled out of its box', '<p style="width: 100px; overflow: auto; white-space: nowrap; float: left; margin: 0">a command that is long</p><p style="margin: 0">copy</p>'],
  ['what floats above the page', '<p>The verdict</p><p style="position: fixed; top: 1em">a bar</p>'],
]) {
  test(`left alone: ${what}`, async () => assert.deepEqual(await seen(badTexts, body), []));
}

test('seen: a page that is too wide', async () => {
  assert.deepEqual(await seen(sidewaysScroll, '<p style="width: 1500px">wide</p>'), ['the page is 1500 px wide in a window of 1280 px']);
  assert.deepEqual(await seen(sidewaysScroll, '<p style="overflow: auto"><b style="display: block; width: 1500px">wide</b></p>'), []);
});

test('seen: takes that are not where they should be', async () => {
  const takes = (display) => `<div style="display: ${display}"><p class="take">one</p><p class="take" data-way="ours">two</p></div>`;
  const [beside, below] = [takes('flex'), takes('block')];
  assert.deepEqual(await seen(misplacedTakes, beside, true), []);
  assert.deepEqual(await seen(misplacedTakes, below, false), []);
  assert.deepEqual(await seen(misplacedTakes, below, true), ['the take ours is not beside the one before it']);
  assert.deepEqual(await seen(misplacedTakes, beside, false), ['the take ours is not below the one before it']);
});

test('seen: links that lead nowhere', async () => {
  const page = '<a href="#e=7">S3</a><a href="#e=8">S1</a><a href="#top">up</a><p id="event">event 7</p>';
  assert.deepEqual(await seen(brokenLinks, page), ['#e=8 leads to event 7', 'nothing is called #top']);
});

for (const [what, body, complaint] of [
  ['a warning', '<script>console.warn("careful")</script>', /^a console message \(warn\): careful$/],
  ['an error on the console', '<script>console.error("wrong")</script>', /^a console message \(error\): wrong$/],
  ['an error', '<script>throw new Error("boom")</script>', /^an error in the page: boom$/],
  ['a lost promise', '<script>Promise.reject(new Error("lost"))</script>', /^an error in the page: lost$/],
  ['a picture from elsewhere', '<img alt="" src="http://picture.invalid/a.png">', /^a request: http:\/\/picture\.invalid\/a\.png$/],
  ['a font in the page', '<style>@font-face { font-family: f; src: url(data:font/woff2;base64,AAAA) }</style><p style="font-family: f">a', /^a request: data:font/],
  ['a request of a script', '<script>fetch("https://data.invalid/").catch(() => {})</script>', /^a request: https:\/\/data\.invalid\/$/],
]) {
  test(`heard: ${what}`, async () => {
    const opened = await blank(browser);
    await opened.page.setContent(body);
    await opened.settled();
    await opened.close();
    assert.ok(opened.complaints.some((heard) => complaint.test(heard)), opened.complaints.join('\n'));
  });
}

test('left alone: a page that minds its business', async () => {
  const opened = await blank(browser);
  await opened.page.setContent('<script>console.log("hello")</script><img alt="" src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">');
  await opened.settled();
  await opened.close();
  assert.deepEqual(opened.complaints, []);
});

test('seen: what keeps people out', async () => {
  const opened = await blank(browser);
  const main = (inside) => `<!doctype html><html lang="en"><title>a page</title><main><h1>a page</h1>${inside}</main></html>`;
  await opened.page.setContent(main('<p style="color: #aaa; background: #fff">grey</p><input type="range">'));
  const found = (await barriers(opened.page)).join('\n');
  assert.match(found, /serious, color-contrast/);
  assert.match(found, /critical, label/);
  await opened.page.setContent(main('<p>black</p><label>event <input type="range"></label>'));
  assert.deepEqual(await barriers(opened.page), []);
  await opened.close();
});
