/**
 * The figures of figures.py from Node: `node node-figures.mjs PYTHON`. Prints `{"startedS": …}` when the runtime is up, waits for a line, and
 * prints the figures as one JSON object.
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const MEGABYTE = 1_000_000;
const ROUNDS = 5;
const now = () => performance.now() / 1000;

async function seconds(act) {
  const begun = now();
  await act();
  return now() - begun;
}

async function best(measure) {
  const figures = [];
  for (let round = 0; round < ROUNDS; round++) figures.push(await measure());
  return Math.max(...figures);
}

function median(figures) {
  const sorted = [...figures].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** Calls per second, one after another; the median of rounds. */
async function rate(count, act) {
  const figures = [];
  for (let round = 0; round < ROUNDS; round++) {
    const took = await seconds(async () => {
      for (let at = 0; at < count; at++) await act();
    });
    figures.push(count / took);
  }
  return median(figures);
}

async function times(count, act) {
  const figures = [];
  for (let at = 0; at < count; at++) figures.push(await act());
  return figures;
}

const begun = now();
const { createRuntime, NdArray } = await import('../../../dist/index.js');
const folder = fileURLToPath(new URL('.', import.meta.url));
const [python] = process.argv.slice(2);
const runtime = await createRuntime({ address: 'local', numCpus: 4, python, folder, output: 'ignore' });
console.log(JSON.stringify({ startedS: now() - begun }));
await once(process.stdin, 'data');

const Echo = runtime.actor('echo.py:Echo');
const one = runtime.task('echo.py:one');
const echo = await Echo.create();
const array = new NdArray(new Float64Array(8 * MEGABYTE).map(Math.random));

/** Milliseconds from nothing to the answer of the first call. A moment later, so that a pool can fill again. */
async function created() {
  const start = now();
  const actor = await Echo.create();
  await actor.call('one');
  const took = now() - start;
  await actor.kill();
  await sleep(200);
  return took * 1000;
}

/** GB/s of arguments by value, one call after another. */
async function sentSpeed(piece, count) {
  const calls = async () => {
    for (let at = 0; at < count; at++) await echo.call('size', piece);
  };
  await calls();
  return (piece.data.byteLength * count) / 1e9 / Math.min(...(await times(3, () => seconds(calls))));
}

async function putSpeed() {
  const start = now();
  const ref = await runtime.put(array);
  const took = now() - start;
  ref[Symbol.dispose]();
  await sleep(50); // until its room can be used again
  return array.data.byteLength / 1e9 / took;
}

await echo.call('one');
await Promise.all(Array.from({ length: 20 }, () => one.call()));
const together = (count, call) => async () =>
  count / (await seconds(() => Promise.all(Array.from({ length: count }, call))));
const figures = {
  actorSync: await rate(1500, () => echo.call('one')),
  actorPipelined: await best(together(10_000, () => echo.call('one'))),
  taskSync: await rate(300, () => one.call()),
  taskPipelined: await best(together(2000, () => one.call())),
  createMs: median(await times(20, created)),
  putGBs: await best(putSpeed),
};
const kept = await runtime.put(array);
await runtime.get(kept);
figures.getMs = median(await times(50, () => seconds(() => runtime.get(kept)))) * 1000;
figures.argument1GBs = await sentSpeed(new NdArray(array.data.subarray(0, MEGABYTE / 8)), 100);
figures.argument64GBs = await sentSpeed(array, 10);
await runtime[Symbol.asyncDispose]();
console.log(JSON.stringify(figures));
process.exit();
