// What of a trace in the trace-event format the trace processor did not take as it was meant.
//
// It is lenient: what it cannot use it leaves out and counts. So the counts are asked for, and what it has read is
// counted against what was written.

import { TraceProcessor } from './trace_processor.js';

/** Phases that make a slice, or a mark as a slice without duration. */
const SLICES = ['X', 'B', 'b', 'i', 'I', 'n'];
const OTHERS = ['E', 'e', 's', 't', 'f', 'C', 'M'];

/** Sentences; none if all was read. */
export async function misread(folder, bytes) {
  const processor = await TraceProcessor.start(folder);
  try {
    processor.load(bytes);
  } catch (error) {
    return [`it cannot be read: ${error.message}`];
  }
  const events = eventsOf(bytes);
  const written = (phases) => events.filter(({ ph }) => phases.includes(ph)).length;
  const count = (what) => processor.query(`select count(*) as n from ${what}`)[0].n;

  const complaints = [];
  const expect = (what, found, wanted) => {
    if (found !== wanted) complaints.push(`${what}: ${found}, not ${wanted}`);
  };
  expect('events of a known phase', written([...SLICES, ...OTHERS]), events.length);
  if (written(SLICES) === 0) complaints.push('there is no event in it');
  expect('slices and marks', count('slice'), written(SLICES));
  expect('arrows', count('flow'), written(['t', 'f']));
  expect('arrows that start', written(['s']), written(['f']));
  expect('slices that never end', count('slice where dur = -1'), 0);
  expect('ends of slices', written(['E', 'e']), written(['B', 'b']));
  expect('values of counters', count('counter'), events.filter(({ ph }) => ph === 'C')
    .reduce((sum, { args }) => sum + Object.keys(args).length, 0));
  expect('slices on a thread without a name', count(
    `thread_track join slice on slice.track_id = thread_track.id
     join thread using (utid) where thread.name is null`), 0);
  expect('slices in a process without a name', count(
    `thread_track join slice on slice.track_id = thread_track.id
     join thread using (utid) left join process using (upid) where process.name is null`), 0);
  const problems = processor.query("select name, value from stats where value > 0 and severity in ('error', 'data_loss')");
  return [...complaints, ...problems.map(({ name, value }) => `${name}: ${value}`)];
}

function eventsOf(bytes) {
  try {
    const trace = JSON.parse(bytes.toString());
    return Array.isArray(trace) ? trace : trace.traceEvents;
  } catch {
    // The trace processor takes less than JSON, JSON.parse does not.
    return [];
  }
}
