/** Servers with a GPU each through one head: two fill a box of two, a third waits, and the end of the first makes room. */
import { cpuSeconds, descendants } from '../../../bench/lib/processes.mjs';
import { eventually, isAlive, orItsEnd, within } from '../lib/box.mjs';
import { gpu } from '../lib/device-watch.mjs';
import { smiProcesses } from '../lib/smi.mjs';
import { ask, READY_MS, same } from './scene.mjs';

const QUIET_MS = 2000;

/** As many servers as devices, made one after the other, so that who waits is known. */
export async function share(scene) {
  const { report, box, uuids, type } = scene;
  for (const at of uuids.keys()) {
    const server = scene.demo(`demo-${at}`);
    const placed = () => box.group(server)?.state === 'CREATED';
    await orItsEnd(server, eventually(`${server.name} has its place`, placed, READY_MS));
  }
  await within('all serve', READY_MS, Promise.all(scene.serving.map(({ ready }) => ready)));
  const times = scene.serving.map(({ name, readyMs, phases }) => ({ name, readyMs, phases }));
  report.figure('ready after, ms', times);
  const ranks = scene.serving.map((server) => scene.rank(server));
  const devices = ranks.map(({ index }) => index);
  report.check('one device each', new Set(devices).size === uuids.length && !devices.includes(-1), devices);
  const { bundles } = box.group(scene.serving[0]);
  const [{ resources }] = bundles;
  const asked = type === null ? resources.GPU === 1 : resources[`accelerator_type:${type}`] === 0.001;
  report.check('a bundle of one GPU, of the type where there is one', asked && bundles.length === 1, bundles);
  const answers = await Promise.all(scene.serving.map((server) => ask(server)));
  report.check('all answer, and the same', answers[0] !== '' && new Set(answers).size === 1, answers);
  await report.onDevice('nvidia-smi with a server on each device', () =>
    onDevices(report, 'nvidia-smi: one rank on each device, and nobody else', scene),
  );
}

function onDevices(report, what, scene) {
  const wanted = scene.serving
    .map((server) => scene.rank(server))
    .map(({ pid, index }) => `${pid} ${scene.uuids[index]}`);
  const seen = smiProcesses().map(({ pid, uuid }) => `${pid} ${uuid}`);
  report.check(what, same(seen.sort(), wanted.sort()), { seen, wanted });
}

/** One server more than devices; then kill -9 of the first. */
export async function makeRoom(scene) {
  const { report, box } = scene;
  const [first, second] = scene.serving;
  const third = scene.demo('late');
  const waits = ({ event, phase }) => event === 'progress' && phase === 'placement';
  const told = eventually('it says why it waits', () => third.events.find(waits), READY_MS);
  const { value: said } = await orItsEnd(third, told);
  const { state, position, reason } = box.group(third);
  const explained = state === 'PENDING' && position === 0 && /GPU 0 free of/.test(reason ?? '');
  report.check('one more waits, first in the queue, and says for what', explained, {
    said: said.detail,
    state,
    position,
    reason,
  });
  await eventually('its libraries are imported meanwhile', importsAreOver(third), READY_MS);
  const { pid, index } = scene.rank(first);
  const beforeMiB = gpu(index).memoryUsedBytes / 2 ** 20;

  const killed = performance.now();
  const freed = memoryBack(scene, pid, index);
  await first.kill();
  scene.serving.shift();
  const memory = await freed;
  await within('the one that waited serves', READY_MS, third.ready);
  const next = third.events.find(
    ({ atMs, phase }) => atMs > killed && phase !== undefined && !waits({ event: 'progress', phase }),
  );
  const since = (atMs) => Math.round(atMs - killed);
  const times = {
    ...memory,
    placedMs: since(next.atMs),
    readyMs: since(third.readyAtMs),
    beforeMiB: Math.round(beforeMiB),
  };
  report.figure('kill -9 of the first: ms until its rank was gone, its memory back, the next placed and ready', times);
  report.figure('phases of the next', third.phases);
  await report.onDevice('memory after kill -9', () =>
    report.check('its device memory is back within 2 s', memory.memoryBackMs <= 2000, memory),
  );
  const got = scene.rank(third).index;
  report.check('the one that waited serves on the device that became free', got === index, { freed: index, got });
  report.check('it answers as the second does', (await ask(third)) === (await ask(second)));
  const kept = box.gang(second);
  report.check('the second was left alone', kept.restarts === 0 && kept.state === 'ready', kept);
  await report.onDevice('nvidia-smi after the change', () =>
    onDevices(report, 'nvidia-smi: again one rank on each device, and nobody else', scene),
  );
}

/** True once no process below the server has computed for a while, after at least a second of work. */
function importsAreOver({ pid }) {
  let [seconds, sinceMs] = [0, performance.now()];
  return () => {
    const now = descendants(pid).reduce((sum, one) => sum + (isAlive(one) ? cpuSeconds(one) : 0), 0);
    if (now > seconds + 0.02) [seconds, sinceMs] = [now, performance.now()];
    return seconds > 1 && performance.now() - sinceMs > QUIET_MS;
  };
}

async function memoryBack(scene, pid, index) {
  const gone = await eventually('the rank is gone', () => !isAlive(pid), 10_000);
  const free = () => gpu(index).processes.every((one) => one.pid !== pid) && scene.isIdle(index);
  // A look is late when the next server is on the device already: that is no failure of the first to leave it.
  const back = await eventually('its device memory is back', free, 5000).catch(() => ({ ms: Number.NaN }));
  return { rankGoneMs: Math.round(gone.ms), memoryBackMs: Math.round(gone.ms + back.ms) };
}
