/** Placement groups beside Ray's in one run: 16 nodes, each an agent process of ours or a raylet of Ray's on this machine. */
import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from '../lib/load.mjs';
import { cpuSeconds, descendants, pssMb } from '../lib/processes.mjs';
import { memoryCluster } from '../lib/ray/memory-cluster.mjs';
import { NODES, rayNodes } from '../lib/ray/nodes.mjs';
import { afterRelease, churn, churnInMemory, createReady, createReadyInMemory } from '../lib/ray/ours.mjs';
import { startRay } from '../lib/ray/peer.mjs';
import { startProcesses } from '../lib/ray/processes-cluster.mjs';

const BUNDLES = [1, 8, 64];
const GROUPS = 100;
const IDLE_MS = 5000;
const median = (values) => quantile(values, 0.5);

/** Idle for a while, then: processes, CPU in % of one core, memory in MB. */
async function footprint(pids) {
  await sleep(2000);
  const used = () => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const before = used();
  await sleep(IDLE_MS);
  return {
    processes: pids.length,
    cpu: ((used() - before) / (IDLE_MS / 1000)) * 100,
    memoryMb: pids.reduce((sum, pid) => sum + pssMb(pid), 0),
  };
}

async function measureOurs() {
  const ours = await startProcesses();
  const { cluster, startedMs } = ours;
  try {
    return {
      startedMs,
      idle: await footprint(ours.pids),
      createReady: Object.fromEntries(await inTurn(BUNDLES, (count) => createReady(cluster, count, 200))),
      together: await churn(cluster, GROUPS, 20, true),
      inTurn: await churn(cluster, GROUPS, 10, false),
      afterRelease: await afterRelease(cluster, NODES, 20),
    };
  } finally {
    await ours.stop();
  }
}

async function measureRay() {
  const rounds = { rounds: 20, churnRounds: 8, releaseRounds: 5 };
  const ray = await startRay({ nodes: rayNodes, bundles: BUNDLES, groups: GROUPS, ...rounds });
  const idle = await footprint([ray.pid, ...descendants(ray.pid)]);
  return { startedMs: ray.startedMs, idle, ...(await ray.figures()) };
}

async function inTurn(items, measure) {
  const results = [];
  for (const item of items) results.push([item, await measure(item)]);
  return results;
}

export async function* rows() {
  const ours = await measureOurs();
  const memory = memoryCluster();
  const inMemory = BUNDLES.map((count) => [count, createReadyInMemory(memory, count, 500)]);
  const churned = churnInMemory(memory, GROUPS, 20);
  const ray = await measureRay();
  const peerName = 'Ray 2.60.0, raylets as processes';
  const lower = { peerName, lowerIsBetter: true };
  for (const count of BUNDLES) {
    yield {
      what: `create + ready, ${bundles(count)}, ${NODES} agent processes, p50`,
      unit: 'ms',
      ours: median(ours.createReady[count]),
      peer: median(ray.createReady[count]),
      ...(count === 64 ? { target: 4 } : {}),
      ...lower,
    };
  }
  for (const [count, times] of inMemory) {
    yield {
      what: `create + ready, ${bundles(count)}, agents in memory, p50`,
      unit: 'ms',
      ours: median(times),
      peer: median(ray.createReady[count]),
      ...(count === 64 ? { target: 0.5 } : {}),
      ...lower,
    };
  }
  const rate = median(ray.churn);
  const higher = { peer: rate, peerName, lowerIsBetter: false };
  yield {
    what: `create + remove, ${GROUPS} at a time, agent processes`,
    unit: '1/s',
    ours: median(ours.together),
    target: 20 * rate,
    note: 'target: 20 × Ray of this run; placement_group() of Ray blocks until it is registered, createGroup() does not',
    ...higher,
  };
  yield { what: 'the same, each create and remove awaited', unit: '1/s', ours: median(ours.inTurn), ...higher };
  yield { what: 'the same, agents in memory', unit: '1/s', ours: median(churned), ...higher };
  yield {
    what: 'release → waiting group of all GPUs created, p50',
    unit: 'ms',
    ours: median(ours.afterRelease),
    peer: median(ray.afterRelease),
    ...lower,
  };
  yield {
    what: `start of head and ${NODES} nodes`,
    unit: 's',
    ours: ours.startedMs / 1000,
    peer: ray.startedMs / 1000,
    ...lower,
  };
  const [our, their] = [ours.idle, ray.idle];
  yield { what: 'idle: processes', unit: 'count', ours: our.processes, peer: their.processes, ...lower };
  yield { what: 'idle: CPU', unit: '% of a core', ours: our.cpu, peer: their.cpu, ...lower };
  yield {
    what: 'idle: PSS of all',
    unit: 'MB',
    ours: our.memoryMb,
    peer: their.memoryMb,
    note: "Ray's with the driver, without dashboard and without Python workers started ahead",
    ...lower,
  };
}

function bundles(count) {
  return count === 1 ? '1 bundle' : `${count} bundles`;
}
