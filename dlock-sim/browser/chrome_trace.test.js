// What `dlock-sim run --perfetto` writes, read by Perfetto's own trace processor: it understands all of it.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';

import { misread } from './perfetto/misread.js';
import { chromeTrace, traceProcessor } from './settings.js';

const skip = traceProcessor ? false : 'no trace processor: DLOCK_TEST_TRACE_PROCESSOR names none';

const noTrace = !chromeTrace && 'DLOCK_TEST_CHROME_TRACE names no trace';

test('the trace of gc-pause is read without loss', { skip: skip || noTrace }, async () => {
  assert.deepEqual(await misread(traceProcessor, fs.readFileSync(chromeTrace)), []);
});

// That it would be noticed.

const NAMES = [
  { ph: 'M', name: 'process_name', pid: 1, args: { name: 'c1' } },
  { ph: 'M', name: 'thread_name', pid: 1, tid: 1, args: { name: 'believed' } },
  { ph: 'M', name: 'process_name', pid: 2, args: { name: 'redis' } },
  { ph: 'M', name: 'thread_name', pid: 2, tid: 1, args: { name: 'messages' } },
];
const EVENTS = [
  { ph: 'X', name: 'held', pid: 1, tid: 1, ts: 10, dur: 100, args: { token: 33 } },
  { ph: 'X', name: 'received', pid: 2, tid: 1, ts: 50, dur: 10 },
  { ph: 's', id: 1, name: 'message', cat: 'net', pid: 1, tid: 1, ts: 20 },
  { ph: 'f', bp: 'e', id: 1, name: 'message', cat: 'net', pid: 2, tid: 1, ts: 55 },
  { ph: 'i', s: 't', name: 'rejected', pid: 2, tid: 1, ts: 70 },
];
const written = (...more) => JSON.stringify({ traceEvents: [...NAMES, ...EVENTS, ...more] });

const BROKEN = [
  ['no JSON', 'time,event', /^it cannot be read: Unknown trace type/],
  ['nothing', '', /no event/],
  ['no event', '{"traceEvents":[]}', /no event/],
  ['an end that was cut off', written().slice(0, -100), /^it cannot be read: .*incomplete/],
  ['a number that is none', written().replace('"ts":10', '"ts":1.0.0'), /^it cannot be read: Failure parsing JSON/],
  ['an event without a time', written({ ph: 'X', name: 'when?', pid: 1, tid: 1, dur: 1 }), /json_tokenizer_failure/],
  ['an event before the beginning', written({ ph: 'X', name: 'early', pid: 1, tid: 1, ts: -5, dur: 1 }), /negative_timestamp/],
  ['a slice without a duration', written({ ph: 'X', name: 'how long?', pid: 1, tid: 1, ts: 200 }), /json_parser_failure/],
  ['slices that overlap', written({ ph: 'X', name: 'too', pid: 1, tid: 1, ts: 60, dur: 100 }), /slice_drop_overlapping/],
  ['an unknown phase', written({ ph: 'Q', name: 'what?', pid: 1, tid: 1, ts: 200 }), /known phase: 9, not 10/],
  ['an end without a beginning', written({ ph: 'E', pid: 1, tid: 1, ts: 200 }), /ends of slices: 1, not 0/],
  ['a beginning without an end', written({ ph: 'B', name: 'for ever', pid: 1, tid: 1, ts: 200 }), /never end: 1, not 0/],
  ['an arrow that starts in no slice', written(
    { ph: 's', id: 2, name: 'message', cat: 'net', pid: 1, tid: 1, ts: 300 },
    { ph: 'f', bp: 'e', id: 2, name: 'message', cat: 'net', pid: 2, tid: 1, ts: 55 },
  ), /arrows: 1, not 2/],
  ['an arrow from nowhere', written({ ph: 'f', bp: 'e', id: 2, name: 'message', cat: 'net', pid: 2, tid: 1, ts: 55 }), /arrows: 1, not 2/],
  ['an arrow to nowhere', written({ ph: 's', id: 2, name: 'message', cat: 'net', pid: 2, tid: 1, ts: 55 }), /arrows that start: 2, not 1/],
  ['a thread without a name', written({ ph: 'X', name: 'whose?', pid: 2, tid: 7, ts: 200, dur: 1 }), /thread without a name: 1/],
  ['a process without a name', written(
    { ph: 'M', name: 'thread_name', pid: 7, tid: 1, args: { name: 'believed' } },
    { ph: 'X', name: 'whose?', pid: 7, tid: 1, ts: 200, dur: 1 },
  ), /process without a name: 1/],
];

test('a sound trace is read without loss', { skip }, async () => {
  assert.deepEqual(await misread(traceProcessor, Buffer.from(written())), []);
});

for (const [what, text, complaint] of BROKEN) {
  test(`a trace with ${what} is refused`, { skip }, async () => {
    assert.match((await misread(traceProcessor, Buffer.from(text))).join('\n'), complaint);
  });
}
