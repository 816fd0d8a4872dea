/**
 * Calls to another box and its objects, beside Ray's, in one run: the same program (bench/lib/ray-core/far_figures.py) against each, with two
 * nodes on this machine that reach each other over loopback.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PYTHON_WORKERS } from '../../dist/config/package-root.js';
import { talkWith } from '../lib/talking.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const CLI = here('../../dist/cli/main.js');
const PROGRAM = here('../lib/ray-core/far_figures.py');

/** What the command prints. Rejects with its stderr. */
async function cli(args, env = {}) {
  const child = spawn(process.execPath, [CLI, ...args], { env: { ...process.env, ...env } });
  let [said, errors] = ['', ''];
  child.stdout.on('data', (text) => {
    said += text;
  });
  child.stderr.on('data', (text) => {
    errors += text;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${args[0]} ended with ${code}: ${errors}`);
  return said;
}

async function figures(python, args, env = {}) {
  const program = talkWith(python, [PROGRAM, ...args], { env: { ...process.env, ...env } });
  const found = await program.line();
  await program.ended;
  return found;
}

/** A head and an agent, each with a folder of its own. */
async function ours(python) {
  const homes = ['head', 'agent'].map((name) => mkdtempSync(join(tmpdir(), `twinkle-bench-${name}-`)));
  const [head, agent] = homes;
  const cpus = ['--num-cpus', '2', '--num-gpus', '0'];
  try {
    const address = ['--port', '0', '--node-ip-address', '127.0.0.1'];
    const { join: line } = JSON.parse(await cli(['start', '--head', '--json', '--home', head, ...address, ...cpus]));
    const [, to, token] = /--address (\S+) --token (\S+)/.exec(line);
    const begun = performance.now();
    await cli(['start', '--address', to, '--home', agent, ...cpus], { TWINKLE_JOIN_TOKEN: token });
    const joinS = (performance.now() - begun) / 1000;
    return { joinS, ...(await figures(python, ['twinkle_node', head], { PYTHONPATH: PYTHON_WORKERS })) };
  } finally {
    for (const home of homes.reverse()) {
      await cli(['stop', '--home', home]).catch(() => {});
      rmSync(home, { recursive: true, force: true });
    }
  }
}

/** GB/s of one TCP connection over loopback, without encryption, both ends in this process: what the kernel does. */
async function tcpGBs() {
  const total = 2 ** 30;
  const part = Buffer.alloc(2 ** 20);
  const server = createServer((socket) => {
    for (let sent = 0; sent < total; sent += part.length) socket.write(part);
    socket.end();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const begun = performance.now();
  const socket = connect(server.address().port, '127.0.0.1');
  let bytes = 0;
  socket.on('data', (chunk) => {
    bytes += chunk.length;
  });
  await once(socket, 'end');
  server.close();
  return bytes / 1e6 / (performance.now() - begun);
}

/** What, key of the figure, unit, and whether less is better. */
const ROWS = [
  ['actor call to another box, one at a time', 'actorSync', '/s'],
  ['actor calls to another box, pipelined', 'actorPipelined', '/s'],
  ['create an actor there, until its first answer, p50', 'createMs', 'ms', true],
  ['get of a 64 MB array that another box has written', 'getGBs', 'GB/s'],
  ['64 MB array of this box as an argument there', 'argumentGBs', 'GB/s'],
  ['another box joins', 'joinS', 's', true],
];

export async function* rows() {
  const python = execFileSync('bash', [here('../peers/ray/python-env'), 'core'], { encoding: 'utf8' }).trim();
  const own = await ours(python);
  const ray = await figures(python, ['ray']);
  const floor = await tcpGBs();
  for (const [what, key, unit, lowerIsBetter] of ROWS) {
    yield { what, unit, ours: own[key], peer: ray[key], ...(lowerIsBetter ? { lowerIsBetter } : {}) };
  }
  yield { what: 'the same 64 MB array, beside one TCP connection', unit: 'GB/s', ours: own.getGBs, peer: floor };
}
