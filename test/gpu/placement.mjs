/**
 * Placement groups on a box with two GPUs or more: links as nvidia-smi says, a device mask a rank, servers that share the box through a
 * head, room that a dead server leaves, and a head that is killed and comes back. With `TWINKLE_FAKE_DEVICES=gpu:2` it runs anywhere,
 * and says of what only a device can show that it was not checked.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Box, environmentOf, eventually, isAlive, within } from './lib/box.mjs';
import { gpu } from './lib/device-watch.mjs';
import { FAKE_DEVICES, PYTHON, Report } from './lib/report.mjs';
import { cli } from './lib/server.mjs';
import { smiDevices, smiProcesses, smiTopology } from './lib/smi.mjs';

const MIB = 2 ** 20;
/** Noise of the driver's own bookkeeping. */
const SLACK = 16 * MIB;
/** An interpreter may need long to import torch from a cold disk. */
const READY_MS = 120_000;
const TWO = '[{"GPU":1}]*2';
const ONE_GPU_EACH = ['--placement-group-config', '{"bundle_per_worker":{"GPU":1}}'];
const MOCK = ['mock', '--engine', 'mock'];
const RANK_DEVICE = fileURLToPath(new URL('./rank_device.py', import.meta.url));
const PORT = 29_517;

const report = new Report('gpu-placement');
const box = new Box();
const survey = JSON.parse(cli(['list', 'devices', '--json'], box));
const uuids = survey.devices.map(({ uuid }) => uuid);
const idle = uuids.map((_, index) => gpu(index).memoryUsedBytes);
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const round = Math.round;
process.on('exit', () => box.killAll());
process.on('SIGTERM', () => process.exit(1));
report.figure('devices', survey.devices);
report.figure('links', survey.links);

/** What `list devices` calls a cell of `nvidia-smi topo -m`. */
const linkOf = (cell) => (/^NV\d+$/.test(cell) ? ['nvlink', Number(cell.slice(2))] : [cell.toLowerCase(), 0]);

await report.part('survey', () =>
  report.onDevice('survey against nvidia-smi', () => {
    const theirs = smiDevices();
    const topology = smiTopology();
    report.figure('nvidia-smi topo -m', topology.text.split('\n'));
    report.check(
      'as many devices as nvidia-smi, by uuid',
      same(
        uuids,
        theirs.map(({ uuid }) => uuid),
      ),
      uuids,
    );
    report.check('nvidia-smi shows as many in its matrix', topology.gpus.length === uuids.length);
    for (const { a, b, kind, lanes } of survey.links) {
      const cell = topology.gpus[a]?.to[b] ?? '';
      report.check(`link ${a}-${b} is nvidia-smi’s`, same([kind, lanes], linkOf(cell)), { kind, lanes, cell });
    }
    for (const { index, numaNode } of survey.devices) {
      const numa = topology.gpus[index]?.numa ?? null;
      report.check(`device ${index}: NUMA node is nvidia-smi’s`, numaNode === numa, [numaNode, numa]);
    }
  }),
);

await report.part('place', () => {
  const [link] = survey.links;
  const args = ['place', '--bundles', TWO, '--tensor-parallel', '2', '--explain'];
  const text = cli(args);
  const answer = JSON.parse(cli([...args, '--json']));
  const held = answer.bundles.flatMap(({ devices }) => devices.map(({ uuid }) => uuid));
  report.check('place: two bundles get two devices', answer.outcome === 'placed' && new Set(held).size === 2, held);
  report.check('place --json names the link', same(answer.links?.[0]?.pairs, [[link.kind, 1]]), answer.links);
  const last = text.trim().split('\n').at(-1).trim();
  const words = { nvlink: '1 pair by NVLink', pix: 'PCIe switch', pxb: 'PCIe switches', phb: 'PCIe host bridge' };
  report.check('place --explain names the link', last.includes(words[link.kind] ?? 'NUMA node'), last);
});

let type = null;
await report.part('head', () => {
  const started = performance.now();
  box.startHead();
  report.figure('start --head, ms', round(performance.now() - started));
  const [node, ...others] = box.list('nodes');
  const { resources, labels, devices } = node;
  report.check('one node with every device', others.length === 0 && resources.GPU === uuids.length, resources);
  report.check(
    'its devices by uuid',
    same(
      devices.map(({ uuid }) => uuid),
      uuids,
    ),
  );
  type =
    Object.keys(resources)
      .find((name) => name.startsWith('accelerator_type:'))
      ?.split(':')[1] ?? null;
  return report.onDevice('accelerator type', () => {
    // Ray: the first word of capitals and digits after the vendor.
    const ray = /\w+\s+([A-Z0-9]+)/.exec(survey.devices[0].name)?.[1] ?? null;
    report.check('accelerator_type is Ray’s name for it', type !== null && type === ray, [type, ray]);
    report.check(
      '… one of it, and the label',
      resources[`accelerator_type:${type}`] === 1 && labels['ray.io/accelerator-type'] === type,
      labels,
    );
  });
});

await report.part('a gang of two ranks', async () => {
  const server = box.serve('pair', ...MOCK, ...ONE_GPU_EACH, '-tp', '2');
  try {
    await within('the mock server is ready', READY_MS, server.ready);
    const { ranks, group } = box.gang(server);
    const environments = ranks.map(({ pid }) => environmentOf(pid));
    const masks = environments.map((env) => env.CUDA_VISIBLE_DEVICES);
    report.check(
      'each rank’s CUDA_VISIBLE_DEVICES is one uuid, each another',
      same([...masks].sort(), [...uuids].sort()),
      masks,
    );
    report.check(
      '… and TWINKLE_DEVICE_IDS too',
      same(
        environments.map((env) => env.TWINKLE_DEVICE_IDS),
        masks,
      ),
    );
    const seats = box.list('placement-groups').find(({ id }) => id === group).bundles;
    report.check(
      '… of its own bundle',
      same(
        seats.map(({ devices }) => devices[0]?.uuid),
        masks,
      ),
      seats,
    );
    const holders = box.list('devices').devices.map(({ state, heldBy }) => [state, heldBy[0]?.group]);
    report.check(
      'list devices: each is held by this group',
      holders.every((one) => same(one, ['held', group])),
      holders,
    );
    await report.onDevice('torch in the environment of a rank', async () => {
      const said = await Promise.all(environments.map(pythonOf));
      for (const { rank, uuids: seen, mask } of said)
        report.check(
          `rank ${rank}: torch sees exactly that device`,
          same(
            seen.map((uuid) => `GPU-${uuid}`),
            [mask],
          ),
          seen,
        );
      report.check(
        'both together: NCCL adds up',
        said.every(({ sum }) => same(sum, [3, 3])),
        said,
      );
    });
  } finally {
    await server.stop();
  }
});

/** A Python as the rank's own, with its masks; multicast over NVLink stays off, whoever runs this. */
async function pythonOf(env) {
  const run = promisify(execFile)(PYTHON, [RANK_DEVICE, String(PORT)], {
    env: { ...env, NCCL_NVLS_ENABLE: '0', TORCH_SYMM_MEM_DISABLE_MULTICAST: '1' },
    timeout: READY_MS,
  });
  return JSON.parse((await run).stdout.trim().split('\n').at(-1));
}

/** One GPU for the demo model, as a user of Ray asks for it. */
const demo = (name) => box.serve(name, ...(type === null ? ONE_GPU_EACH : ['--accelerator-type', type]), '-tp', '1');
const deviceOf = (server) => uuids.indexOf(box.gang(server)?.ranks[0]?.devices[0] ?? '');
const ask = async (server, tokens = 8) => {
  const body = { model: server.name, prompt: 'Once upon a time', max_tokens: tokens, temperature: 0 };
  return (await server.ask('/v1/completions', body)).choices[0].text;
};
let [first, second, third] = [];

await report.part('two servers share the box', async () => {
  first = demo('first');
  await within(
    'the first is placed',
    READY_MS,
    eventually('it has a group', () => box.group(first), READY_MS),
  );
  second = demo('second');
  await within('both serve', READY_MS, Promise.all([first.ready, second.ready]));
  report.figure('ready after, ms', { first: [first.readyMs, first.phases], second: [second.readyMs, second.phases] });
  const devices = [deviceOf(first), deviceOf(second)];
  report.check('one device each', same([...devices].sort(), [0, 1]), devices);
  const { bundles } = box.group(first);
  report.figure('the group of the first', bundles);
  report.check(
    'its bundle asks for the type',
    type === null ? FAKE_DEVICES !== null : `accelerator_type:${type}` in bundles[0].resources,
    bundles,
  );
  await Promise.all([ask(first), ask(second)]);
  await report.onDevice('nvidia-smi with two servers', () => {
    const wanted = [first, second].map((server) => [box.gang(server).ranks[0].pid, uuids[deviceOf(server)]]);
    const seen = smiProcesses().map(({ pid, uuid }) => [pid, uuid]);
    report.check('nvidia-smi: one rank on each device, nobody else', same([...seen].sort(), [...wanted].sort()), {
      seen,
      wanted,
    });
  });
});

await report.part('a third waits, kill -9 of the first makes room', async () => {
  third = demo('third');
  const waits = ({ event, phase }) => event === 'progress' && phase === 'placement';
  const { value: said } = await eventually('the third says why it waits', () => third.events.find(waits), READY_MS);
  const group = box.group(third);
  report.check(
    'the third waits: PENDING, first in the queue, with a reason',
    group.state === 'PENDING' && group.position === 0 && /GPU/.test(group.reason ?? ''),
    {
      said: said.detail,
      state: group.state,
      position: group.position,
      reason: group.reason,
    },
  );
  const index = deviceOf(first);
  const { pid } = box.gang(first).ranks[0];
  const before = gpu(index).memoryUsedBytes;
  const killed = performance.now();
  const since = (atMs) => round(atMs - killed);
  const freed = (async () => {
    const gone = await eventually('the rank is gone', () => !isAlive(pid), 10_000);
    const free = () =>
      gpu(index).processes.every((one) => one.pid !== pid) && gpu(index).memoryUsedBytes <= idle[index] + SLACK;
    const { ms } = await eventually('its device memory is back', free, 10_000);
    return { rankGoneMs: round(gone.ms), memoryBackMs: round(gone.ms + ms) };
  })();
  await first.kill();
  // Rejects on its own only when the device was given again before a look: the third's own memory is then in the way.
  const memory = await freed.catch((error) => String(error));
  await within('the third serves', READY_MS, third.ready);
  const next = third.events.find(({ atMs, phase }) => atMs > killed && phase !== undefined && phase !== 'placement');
  const times = { ...memory, placedMs: since(next.atMs), readyMs: since(third.readyAtMs), beforeMiB: before / MIB };
  report.check(
    'kill -9 of the first: its device memory is back within 2 s',
    memory.memoryBackMs <= 2000,
    FAKE_DEVICES ? 'fake' : memory,
  );
  report.figure('kill -9 of the first, ms until', times);
  report.figure('phases of the third', third.phases);
  report.check('the third serves on the device that became free', deviceOf(third) === index, {
    freed: index,
    got: deviceOf(third),
  });
  report.check('it answers as the second does', (await ask(third)) === (await ask(second)));
  report.check('the second was left alone', box.gang(second).restarts === 0 && second.child.exitCode === null);
  await report.onDevice('nvidia-smi after the change', () => {
    const wanted = [second, third].map((server) => box.gang(server).ranks[0].pid).sort();
    const seen = smiProcesses()
      .map((one) => one.pid)
      .sort();
    report.check('nvidia-smi: the ranks of the second and the third, nobody else', same(seen, wanted), {
      seen,
      wanted,
    });
  });
});

const picture = () =>
  [second, third].map((server) => {
    const { id, state, bundles } = box.group(server);
    return { id, state, bundles, pids: box.gang(server).ranks.map(({ pid }) => pid) };
  });

await report.part('kill -9 of the head', async () => {
  const before = picture();
  const answers = { away: 0, all: 0, wrong: [] };
  let [away, over] = [false, false];
  const right = await ask(second);
  const asking = [second, third].map(async (server) => {
    while (!over) {
      const wasAway = away;
      const text = await ask(server).catch(String);
      answers.all += 1;
      if (wasAway && away) answers.away += 1;
      if (text !== right) answers.wrong.push(text);
    }
  });
  const long = ask(second, 200).catch(String);
  const killed = performance.now();
  await box.killHead();
  away = true;
  await eventually('40 answers without a head', () => answers.away >= 40, 30_000);
  const { cluster } = box.head;
  away = false;
  const started = performance.now();
  const again = box.startHead();
  const startMs = performance.now() - started;
  const back = await eventually(
    'both groups are there again',
    () => picture().every(({ state }) => state === 'CREATED'),
    20_000,
  );
  const awayMs = round(started - killed);
  over = true;
  await Promise.all(asking);
  report.check(
    'every answer with the head away and back is right',
    answers.wrong.length === 0 && answers.away >= 40,
    answers,
  );
  report.check('a long request goes through', (await long).length > right.length);
  report.check('the head has come back as the same cluster', again.cluster === cluster, [cluster, again.cluster]);
  report.check('same groups, same devices, same ranks', same(picture(), before), before);
  report.figure('the head', { awayMs, startMs: round(startMs), groupsBackMs: round(back.ms) });
  const [node] = box.list('nodes');
  report.check(
    'the restarted head has no device to give',
    (node.available.GPU ?? 0) === uuids.length - 2,
    node.available,
  );
});

await report.part('a type that is not here', async () => {
  const elsewhere = box.serve('elsewhere', ...MOCK, '--accelerator-type', 'L4');
  try {
    const { value: group } = await eventually(
      'its group is judged',
      () => {
        const found = box.group(elsewhere);
        return found?.reason ? found : null;
      },
      30_000,
    );
    const { state, scheduling, reason } = group;
    report.check(
      '--accelerator-type L4 waits as infeasible, and says the type',
      scheduling === 'INFEASIBLE' && /accelerator_type:L4/.test(reason),
      { state, scheduling, reason },
    );
  } finally {
    await elsewhere.stop();
  }
  const here = ['serve', ...MOCK, '--accelerator-type', 'L4', '--address', 'local', '--port', '0', '--python', PYTHON];
  const refusal = await promisify(execFile)(process.execPath, ['dist/cli/main.js', ...here], {
    env: { ...process.env, TWINKLE_HOME: box.home },
    timeout: 30_000,
  }).catch((error) => error);
  report.check(
    'without a head it is refused at once, with the type and exit code 3',
    refusal.code === 3 && /accelerator_type:L4/.test(refusal.stderr),
    [refusal.code, String(refusal.stderr).trim()],
  );
});

await report.part('the end', async () => {
  for (const server of [second, third]) await within('a clean end', 40_000, server.stop());
  const [node] = box.list('nodes');
  report.check('every device is free again', node.available.GPU === uuids.length, node.available);
  await report.onDevice('devices after the end', async () => {
    const free = () => uuids.every((_, index) => gpu(index).memoryUsedBytes <= idle[index] + SLACK);
    const { ms } = await eventually('the memory is back', free, 5000);
    report.check('nobody is on a device', smiProcesses().length === 0, { ms: round(ms) });
  });
  await box.close();
});
report.end();
process.exit(process.exitCode);
