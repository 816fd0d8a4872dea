/** The measurements of bench/cases/ray.mjs on our side. Times in ms. */
import { setTimeout as sleep } from 'node:timers/promises';
import { spec } from './nodes.mjs';

const GPU = { GPU: 1 };

/** Rounds before the first that counts: V8 compiles what runs often, and a head runs for weeks. */
const WARM_UP = 30;
const many = (count, bundle) => Array.from({ length: count }, () => bundle);

/** ms of each round: create a group over the nodes, wait until it is created; then, not measured, remove it. */
export async function createReady(cluster, bundles, rounds) {
  const wanted = spec('SPREAD', many(bundles, GPU));
  const times = [];
  for (let round = -WARM_UP; round < rounds; round++) {
    const begun = performance.now();
    const group = await cluster.createGroup(wanted);
    await group.ready();
    if (round >= 0) times.push(performance.now() - begun);
    await group.remove();
    await freed(cluster);
  }
  return times;
}

/** The same with agents in memory. */
export function createReadyInMemory(cluster, bundles, rounds) {
  const wanted = spec('SPREAD', many(bundles, GPU));
  const times = [];
  for (let round = -50; round < rounds; round++) {
    const begun = performance.now();
    const id = cluster.create(wanted);
    if (round >= 0) times.push(performance.now() - begun);
    cluster.remove(id);
  }
  return times;
}

/** Groups per second: so many of one bundle created, all awaited, all removed. `together`: creates and removes do not wait for each other. */
export async function churn(cluster, count, rounds, together) {
  const wanted = spec('PACK', [{ custom: 0.001 }]);
  const rates = [];
  for (let round = -WARM_UP; round < rounds; round++) {
    const begun = performance.now();
    const groups = [];
    if (together) groups.push(...(await Promise.all(many(count, wanted).map((one) => cluster.createGroup(one)))));
    else for (let made = 0; made < count; made++) groups.push(await cluster.createGroup(wanted));
    await Promise.all(groups.map((group) => group.ready()));
    if (together) await Promise.all(groups.map((group) => group.remove()));
    else for (const group of groups) await group.remove();
    if (round >= 0) rates.push((count / (performance.now() - begun)) * 1000);
  }
  return rates;
}

/** The same with agents in memory. */
export function churnInMemory(cluster, count, rounds) {
  const wanted = spec('PACK', [{ custom: 0.001 }]);
  const rates = [];
  for (let round = -WARM_UP; round < rounds; round++) {
    const begun = performance.now();
    for (const id of many(count, wanted).map((one) => cluster.create(one))) cluster.remove(id);
    if (round >= 0) rates.push((count / (performance.now() - begun)) * 1000);
  }
  return rates;
}

/** ms from the removal of a group that holds every GPU until one that waited for them is created. */
export async function afterRelease(cluster, nodes, rounds) {
  const all = spec('STRICT_SPREAD', many(nodes, { GPU: 8 }));
  const times = [];
  for (let round = -2; round < rounds; round++) {
    const holder = await cluster.createGroup(all);
    await holder.ready();
    const waiter = await cluster.createGroup(all);
    await waits(waiter);
    const begun = performance.now();
    const created = waiter.ready();
    await holder.remove();
    await created;
    if (round >= 0) times.push(performance.now() - begun);
    await waiter.remove();
    await freed(cluster);
  }
  return times;
}

/** It was tried in vain. */
async function waits(group) {
  const tried = () => group.status.scheduling === 'NO_RESOURCES';
  if (tried()) return;
  await new Promise((resolve) => {
    const stop = group.onChange(() => {
      if (!tried()) return;
      stop();
      resolve();
    });
  });
}

/** Every agent has said that it let go: the next round starts from an empty cluster, as Ray's does. */
async function freed(cluster) {
  for (;;) {
    await sleep(25); // asking at once keeps the head busy, and the next round begins in that
    const { nodes } = await cluster.snapshot();
    if (nodes.every(({ resources, available }) => available.GPU === resources.GPU)) return;
  }
}
