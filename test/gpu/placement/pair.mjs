/** A gang of two ranks: each has a device of its own, and what runs with a rank's environment sees that one and reaches the other. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { environmentOf, within } from '../lib/box.mjs';
import { PYTHON } from '../lib/report.mjs';
import { MOCK, ONE_GPU_EACH, READY_MS, same } from './scene.mjs';

const RANK_DEVICE = fileURLToPath(new URL('../rank_device.py', import.meta.url));
/** Of the rendezvous of our own Pythons; the gang's is in use. */
const PORT = 29_517;

/** A mock server of two ranks, and a Python in the environment of each. */
export async function pair({ report, box, uuids }) {
  const server = box.serve('pair', ...MOCK, ...ONE_GPU_EACH, '-tp', '2');
  try {
    await within('the mock server is ready', READY_MS, server.ready);
    const { ranks, group } = box.gang(server);
    const environments = ranks.map(({ pid }) => environmentOf(pid));
    const masks = environments.map((env) => env.CUDA_VISIBLE_DEVICES);
    const two = new Set(masks).size === 2 && masks.every((mask) => uuids.includes(mask));
    report.check('each rank’s CUDA_VISIBLE_DEVICES is one uuid, each another', two, masks);
    const ids = environments.map((env) => env.TWINKLE_DEVICE_IDS);
    report.check('… and TWINKLE_DEVICE_IDS too', same(ids, masks), ids);
    const { bundles } = box.list('placement-groups').find(({ id }) => id === group);
    const seats = bundles.map(({ devices }) => devices[0]?.uuid);
    report.check('… of its own bundle', same(seats, masks), bundles);
    const held = box.list('devices').devices.filter(({ uuid }) => masks.includes(uuid));
    const holders = held.map(({ state, heldBy }) => [state, heldBy[0]?.group]);
    const ours = holders.every((one) => same(one, ['held', group]));
    report.check('list devices: each is held by this group', ours, holders);
    await report.onDevice('torch in the environment of a rank', () => together(report, environments));
  } finally {
    await server.stop();
  }
}

async function together(report, environments) {
  const said = await Promise.all(environments.map(pythonOf));
  for (const { rank, uuids: seen, mask } of said) {
    const full = seen.map((uuid) => (uuid.startsWith('GPU-') ? uuid : `GPU-${uuid}`));
    report.check(`rank ${rank}: torch sees exactly its device`, same(full, [mask]), { seen, mask });
  }
  const right = said.every(({ sum }) => same(sum, [3, 3]));
  report.check('both together: an all-reduce through NCCL adds up', right, said);
}

/** A Python as the rank's own, with its mask. Multicast over NVLink stays off: it can harm others on a shared host. */
async function pythonOf(env) {
  const run = promisify(execFile)(PYTHON, [RANK_DEVICE, String(PORT)], {
    env: { ...env, NCCL_NVLS_ENABLE: '0', TORCH_SYMM_MEM_DISABLE_MULTICAST: '1' },
    timeout: READY_MS,
  });
  return JSON.parse((await run).stdout.trim().split('\n').at(-1));
}
