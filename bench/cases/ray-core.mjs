/**
 * Actors, tasks and objects beside Ray's, in one run: the same Python program (bench/lib/ray-core/figures.py) against each, and the same from
 * Node (node-figures.mjs).
 */
import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { PYTHON_WORKERS } from '../../dist/config/package-root.js';
import { descendants, pssMb } from '../lib/processes.mjs';
import { talkWith } from '../lib/talking.mjs';

const SETTLE_MS = 2000;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Figures of one runtime: how long it took to start, what it holds while nobody asks, and what it can do. */
async function measure(runtime, python) {
  const path = runtime === 'ray' ? {} : { PYTHONPATH: PYTHON_WORKERS };
  const program = talkWith(python, [here('../lib/ray-core/figures.py'), runtime], { env: { ...process.env, ...path } });
  const { startedS } = await program.line();
  await sleep(SETTLE_MS);
  const idleMb = descendants(program.pid).reduce((sum, pid) => sum + pssMb(pid), 0);
  program.say('go');
  const figures = await program.line();
  await program.ended;
  return { startedS, idleMb, ...figures };
}

/** Figures of the Node client; Ray has none. */
async function measureNode(python) {
  const program = talkWith(process.execPath, [here('../lib/ray-core/node-figures.mjs'), python]);
  const { startedS } = await program.line();
  program.say('go');
  const figures = await program.line();
  await program.ended;
  return { startedS, ...figures };
}

/** What, key of the figure, unit, and what has to be reached: a factor of Ray's, or a figure. */
const ROWS = [
  ['actor call, one at a time', 'actorSync', '/s', { times: 6 }],
  ['actor calls, pipelined', 'actorPipelined', '/s', { times: 8 }],
  ['task, one at a time', 'taskSync', '/s', { times: 10 }],
  ['tasks, pipelined', 'taskPipelined', '/s', {}],
  ['create an actor, until its first answer, p50', 'createMs', 'ms', { atMost: 60 }],
  ['get of a 64 MB array, p50', 'getMs', 'ms', { atMost: 0.12 }],
  ['1 MB array as an argument', 'argument1GBs', 'GB/s', { atLeast: 1.5 }],
  ['64 MB array as an argument', 'argument64GBs', 'GB/s', {}],
  ['idle runtime, PSS without the driver', 'idleMb', 'MB', { ofPeer: 1 / 3 }],
  ['import and init', 'startedS', 's', { atMost: 0.7 }],
];

export async function* rows() {
  const python = execFileSync('bash', [here('../peers/ray/python-env'), 'core'], { encoding: 'utf8' }).trim();
  const ours = await measure('twinkle_node', python);
  const node = await measureNode(python);
  const ray = await measure('ray', python);
  for (const [what, key, unit, { times, atMost, atLeast, ofPeer }] of ROWS) {
    const lowerIsBetter = atMost !== undefined || ofPeer !== undefined;
    const target = atMost ?? atLeast ?? (times === undefined ? ofPeer && ray[key] * ofPeer : ray[key] * times);
    const bound = target === undefined ? {} : { target, ...(lowerIsBetter ? { lowerIsBetter } : {}) };
    yield { what, unit, ours: ours[key], peer: ray[key], ...bound };
  }
  for (const [what, key, unit, { times, atMost, atLeast }] of ROWS) {
    if (node[key] === undefined || key === 'startedS') continue;
    const target = atMost ?? atLeast ?? (times === undefined ? undefined : ray[key] * times);
    const bound = target === undefined ? {} : { target, ...(atMost === undefined ? {} : { lowerIsBetter: true }) };
    yield { what: `from Node: ${what}`, unit, ours: node[key], peer: ray[key], ...bound };
  }
  const note = `Ray's put: ${ray.putGBs.toPrecision(3)} GB/s`;
  const floor = ours.memcpyGBs;
  yield {
    what: 'put of a 64 MB array, beside a copy in memory',
    unit: 'GB/s',
    ours: ours.putGBs,
    peer: floor,
    target: 0.8 * floor,
    note,
  };
  yield {
    ...{
      what: 'from Node: put of a 64 MB array, beside a copy in memory',
      unit: 'GB/s',
      ours: node.putGBs,
      peer: floor,
    },
    target: 0.8 * floor,
  };
}
