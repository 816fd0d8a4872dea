/**
 * The addon's device memory: pages that Node registers, pages that a rank registers, how fast they copy, and an NCCL id.
 * TWINKLE_CUDART_LIBRARY and TWINKLE_NCCL_LIBRARY name the libraries (`find_libraries.py`).
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { delimiter } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { loadNative } from '../../dist/native/load.js';
import { gpu } from './lib/device-watch.mjs';
import { median, PYTHON, Report } from './lib/report.mjs';

const SIZE = 64 * 2 ** 20;
const PAGE = 4096;
const MIB = 2 ** 20;
const WORKERS = fileURLToPath(new URL('../../python-workers', import.meta.url));
const script = (name) => fileURLToPath(new URL(name, import.meta.url));
const native = loadNative();
const report = new Report('gpu-memory');
const env = { ...process.env, PYTHONPATH: [WORKERS, process.env.PYTHONPATH].filter(Boolean).join(delimiter) };
report.figure('libraries', { cudart: process.env.TWINKLE_CUDART_LIBRARY, nccl: process.env.TWINKLE_NCCL_LIBRARY });
report.figure('memlock limit', native.memlockLimit());

await report.part('a page-locked segment of a rank', async () => {
  const segment = native.segmentCreate({ name: 'gpu-test', size: SIZE, lock: true, register: 'none' });
  const bytes = new Uint8Array(segment.buffer());
  for (let page = 0; page < SIZE / PAGE; page++) bytes[page * PAGE] = page % 251;
  const [ours, theirs] = native.socketPair();
  const child = spawn(PYTHON, [script('rank_memory.py'), '3', 'gpu-test', String(SIZE)], {
    env,
    stdio: ['ignore', 'pipe', 'inherit', theirs],
  });
  native.closeFd(theirs);
  native.sendFds(ours, Buffer.from('{"segment":"gpu-test"}\n'), [segment.fd]);
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
  });
  const [code] = await once(child, 'close');
  native.closeFd(ours);
  if (code !== 0) throw new Error(`rank_memory.py ended with ${code}`);
  const seen = JSON.parse(text);
  report.figure('copies of 64 MiB', seen);
  report.check('the segment is page-locked', segment.locked);
  report.check(
    'the rank registers its pages',
    seen.cudaHostRegister === 0 && seen.cudaHostUnregister === 0,
    seen.cudaHostRegister,
  );
  report.check('the device gets what Node wrote', seen['the device got what Node wrote']);
  let right = true;
  for (let page = 0; page < SIZE / PAGE; page++) right &&= bytes[page * PAGE] === (page % 251) + 1;
  report.check('Node sees what the device wrote', right);
  const gain = seen['registered to device GB/s'] / seen['unregistered to device GB/s'];
  report.check('registered pages copy faster', gain > 1.2, gain);
  segment.close();
});

await report.part('pages that Node registers', () => {
  const before = gpu().memoryUsedBytes;
  const timesMs = [];
  for (let round = 0; round < 5; round++) {
    const started = performance.now();
    const segment = native.segmentCreate({ name: `registered-${round}`, size: SIZE, lock: false, register: 'cuda' });
    timesMs.push(performance.now() - started);
    new Uint8Array(segment.buffer()).fill(round);
    segment.close();
    segment.close();
  }
  report.check('cudaHostRegister from Node works, and again after close', timesMs.length === 5);
  report.figure('registration of 64 MiB from Node, ms', { first: timesMs[0], later: median(timesMs.slice(1)) });
  const mine = gpu().processes.find(({ pid }) => pid === process.pid);
  report.figure('what the context of Node takes of the device, MiB', {
    used: (gpu().memoryUsedBytes - before) / MIB,
    listed: mine === undefined ? null : mine.memoryBytes / MIB,
  });
});

await report.part('an NCCL id', async () => {
  const id = native.ncclUniqueId();
  const other = native.ncclUniqueId();
  report.check(
    'ncclUniqueId: 128 bytes, two differ',
    id.length === 128 && !Buffer.from(id).equals(Buffer.from(other)),
    {
      length: id.length,
      zeros: id.filter((byte) => byte === 0).length,
    },
  );
  const { stdout } = await promisify(execFile)(
    PYTHON,
    [script('join_nccl.py'), process.env.TWINKLE_NCCL_LIBRARY ?? 'libnccl.so.2', Buffer.from(id).toString('hex')],
    { env, timeout: 60_000 },
  );
  report.check(
    'a Python process joins a communicator of that id',
    stdout.trim().split('\n').at(-1) === '0',
    stdout.slice(-300),
  );
});
report.end();
// NCCL keeps a thread of its own for the root.
process.exit();
