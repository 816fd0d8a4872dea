/**
 * The demo model on the GPU. Answers in float32 are the CPU's, the device list shows the rank, and however a process dies,
 * its device memory comes back: kill -9 of the rank (then it serves again) and kill -9 of Node (then nothing is left).
 */
import { readFileSync } from 'node:fs';
import { descendants } from '../../bench/lib/processes.mjs';
import { gpu, pidsOnGpu, until } from './lib/device-watch.mjs';
import { QUESTIONS } from './lib/questions.mjs';
import { Report } from './lib/report.mjs';
import { cli, serve } from './lib/server.mjs';
import { smiDevices, smiProcesses } from './lib/smi.mjs';

const MIB = 2 ** 20;
/** Noise of the driver's own bookkeeping. */
const SLACK = 16 * MIB;
const BEGINNINGS = ['Once upon a time', 'The river', 'Twinkle', 'One, two, three,'];
const ON_GPU = ['--gpus', '0'];
const report = new Report('gpu-serving');
const idleBytes = gpu().memoryUsedBytes;
report.figure('memory used before, MiB', idleBytes / MIB);

/** Greedy answers to every prompt, all asked at once, so that they share batches. */
async function answers(server) {
  const greedy = { model: 'demo', temperature: 0, max_tokens: 48 };
  const chats = QUESTIONS.map(async (content) => {
    const { choices } = await server.ask('/v1/chat/completions', { ...greedy, messages: [{ role: 'user', content }] });
    return choices[0].message.content;
  });
  const texts = BEGINNINGS.map(
    async (prompt) => (await server.ask('/v1/completions', { ...greedy, prompt })).choices[0].text,
  );
  return Promise.all([...chats, ...texts]);
}

function compare(theirs, ours) {
  const other = ours.flatMap((text, at) => (text === theirs[at] ? [] : [[theirs[at], text]]));
  return { same: ours.length - other.length, of: ours.length, other };
}

async function withServer(what, args, run) {
  await report.part(what, async () => {
    const server = await serve(args);
    report.figure(`${what}: ready after, ms`, { readyMs: server.readyMs, phases: server.phases });
    try {
      await run(server);
    } finally {
      await server.stop();
    }
  });
}

let cpu = [];
await withServer('CPU, float32', ['--cpu', '--dtype', 'float32'], async (server) => {
  cpu = await answers(server);
  report.figure('answers of the CPU', cpu);
  report.check('--cpu leaves the device alone', pidsOnGpu().length === 0, gpu().processes);
});

await withServer('GPU, float32', [...ON_GPU, '--dtype', 'float32'], async (server) => {
  const { same, of, other } = compare(cpu, await answers(server));
  report.check('float32: greedy answers of the GPU are the CPU’s', of > 0 && same === of, { same, of, other });
});

async function deviceList(server) {
  const { pid, devices } = server.rank();
  const listed = JSON.parse(cli(['list', 'devices', '--json'])).devices[0];
  report.check(
    'list devices shows the rank, and nobody else',
    listed.processes.length === 1 && listed.processes[0].pid === pid,
    {
      rank: pid,
      listed: listed.processes,
      smi: smiProcesses(),
    },
  );
  report.check(
    'status names the device of the rank',
    devices.includes('gpu 0') || devices.includes(listed.uuid),
    devices,
  );
  report.check('Node and the template hold no device', !pidsOnGpu().includes(server.pid), pidsOnGpu());
}

async function killRank(server, used) {
  const { pid } = server.rank();
  const before = gpu().memoryUsedBytes;
  const cut = server.ask('/v1/completions', {
    model: 'demo',
    prompt: 'Once',
    stream: true,
    max_tokens: 2000,
    ignore_eos: true,
  });
  await until('the stream runs', () => server.status().models[0].replicas[0].inFlight > 0, 5000);
  const killed = performance.now();
  process.kill(pid, 'SIGKILL');
  const waiting = answers(server).then((texts) => ({ texts, ms: performance.now() - killed }));
  const gone = await until(
    'the dead rank is off the device',
    ({ processes }) => processes.every((one) => one.pid !== pid),
    10_000,
  );
  const back = await until('its device memory is back', (device) => device.memoryUsedBytes <= used + SLACK, 10_000);
  report.check('kill -9 of the rank: its device memory is back', true, {
    goneAfterMs: Math.round(gone.ms),
    backAfterMs: Math.round(gone.ms + back.ms),
    idleMiB: used / MIB,
    runningMiB: before / MIB,
    afterMiB: back.device.memoryUsedBytes / MIB,
  });
  const text = await cut;
  report.check(
    'kill -9 of the rank: its stream ends with an error that names it',
    /rank 0/.test(text) && /rank_failed/.test(text),
    text.slice(-400),
  );
  const { texts, ms } = await waiting;
  report.figure('kill -9 of the rank: requests that waited are answered after, ms', Math.round(ms));
  const compared = compare(cpu, texts);
  report.check(
    'kill -9 of the rank: it serves again',
    texts.every((one) => one.length > 0),
    compared,
  );
  const again = server.rank().pid;
  const now = gpu();
  report.check(
    'kill -9 of the rank: one new rank on the device, as much memory as before',
    again !== pid && now.processes.length === 1 && Math.abs(now.memoryUsedBytes - before) <= SLACK + 48 * MIB,
    {
      beforeMiB: before / MIB,
      nowMiB: now.memoryUsedBytes / MIB,
      processes: now.processes,
    },
  );
}

await withServer('GPU, default dtype', ON_GPU, async (server) => {
  report.figure('model card', server.status().models[0].card);
  await report.part('device list', () => deviceList(server));
  report.figure('memory of a rank with the demo model, MiB', (gpu().memoryUsedBytes - idleBytes) / MIB);
  const { same, of } = compare(cpu, await answers(server));
  report.figure('default dtype: greedy answers that are the CPU’s float32 ones', { same, of });
  await report.part('kill -9 of the rank', () => killRank(server, idleBytes));
});
await report.part('a clean end', async () => {
  const { ms, device } = await until('nobody is on the device', ({ processes }) => processes.length === 0, 5000);
  report.check('a clean end gives the memory back', device.memoryUsedBytes <= idleBytes + SLACK, {
    ms,
    MiB: device.memoryUsedBytes / MIB,
  });
});

await report.part('kill -9 of Node', async () => {
  const server = await serve(ON_GPU);
  const { pid } = server.rank();
  const family = descendants(server.pid);
  report.check('the rank is on the device', pidsOnGpu().includes(pid), { pid, on: pidsOnGpu() });
  // In the middle of a step: the rank is inside native code, not waiting for us.
  const cut = server
    .ask('/v1/completions', { model: 'demo', prompt: 'Once', stream: true, max_tokens: 2000, ignore_eos: true })
    .catch(() => 'cut');
  await until('the stream runs', () => server.status().models[0].replicas[0].inFlight > 0, 5000);
  const killed = performance.now();
  await server.kill();
  const free = ({ processes, memoryUsedBytes }) => processes.length === 0 && memoryUsedBytes <= idleBytes + SLACK;
  const { ms, device } = await until('the device is free', free, 10_000);
  await cut;
  report.check('kill -9 of Node: the device is free within 2 s', ms <= 2000, {
    ms: Math.round(ms),
    MiB: device.memoryUsedBytes / MIB,
    smiMiB: smiDevices()[0].memoryUsedBytes / MIB,
  });
  while (family.some(isAlive) && performance.now() - killed < 2000)
    await new Promise((resolve) => setTimeout(resolve, 10));
  report.check('kill -9 of Node: no process is left after 2 s', !family.some(isAlive), {
    were: family.length,
    left: family.filter(isAlive),
  });
});

/** A zombie does not count: who reaps it is the machine's business. */
function isAlive(pid) {
  try {
    return !'ZX'.includes(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1][0]);
  } catch {
    return false;
  }
}
report.end();
