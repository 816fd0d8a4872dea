/** Random kills of vLLM ranks under load with adapters, seeded, and a look at what they leave. Used by the short form in e2e and by the long one. */
import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { processesWithEnv } from '../../../src/supervisor/proc.js';
import { killProcess } from '../gang-kit.js';
import { randomFrom } from '../random.js';
import { sampleProcess } from './memory.js';
import type { LoadMix } from './mix.js';
import type { VllmLoraServer } from './server.js';

export interface ChaosPlan {
  readonly kills: number;
  readonly seed: number;
  /** Whether the template is killed once, too: the next start imports vLLM anew. */
  readonly template: boolean;
}

/** What must not be: empty when all is well. */
export type Faults = readonly string[];

/** From a kill to a replica that serves again; the template's import under load included. */
const RECOVERY_MS = 120_000;
const LOOK_MS = 100;
/** A heap moves by some ten MB; what each of many kills left would be more. */
const MAX_GROWTH_MB = 60;
/** Connections of clients come and go. */
const MAX_MORE_DESCRIPTORS = 8;

/** Kill by the plan while the mix runs. Resolves when all replicas serve again and the mix has stopped. */
export async function killRanks(server: VllmLoraServer, mix: LoadMix, plan: ChaosPlan): Promise<Faults> {
  const random = randomFrom(plan.seed);
  const faults: string[] = [];
  const killed: number[] = [];
  await mix.answered(10);
  const filesBefore = server.files();
  const nodeBefore = sampleProcess(server.cli.pid);
  for (let kill = 0; kill < plan.kills && mix.tally.wrong.length === 0; kill++) {
    // A few answers apart, wherever the gangs are: serving, starting, or one of them down.
    await mix.answered(3);
    const { ranks, template } = await server.processes();
    const victim = [...ranks.keys()][Math.floor(random() * ranks.size)];
    if (victim !== undefined && killQuietly(victim)) killed.push(victim);
    if (plan.template && kill === Math.floor(plan.kills / 2) && template !== null && killQuietly(template))
      killed.push(template);
    if (random() < 0.6 && !(await recovered(server))) faults.push(`kill ${kill}: the replicas did not come back`);
    if (faults.length > 0) break;
  }
  if (!(await recovered(server))) faults.push('the replicas did not come back');
  await mix.answered(20);
  await mix.stop();
  if (killed.length < plan.kills) faults.push(`only ${killed.length} of ${plan.kills} processes were killed`);
  return [...mix.tally.wrong, ...faults, ...(await leftovers(server, killed, filesBefore, nodeBefore))];
}

/** What dead epochs left while the server goes on: processes, files, sockets, segments, memory and descriptors of Node. */
async function leftovers(
  server: VllmLoraServer,
  killed: readonly number[],
  filesBefore: readonly string[],
  nodeBefore: ReturnType<typeof sampleProcess>,
): Promise<Faults> {
  const { ranks, template } = await server.processes();
  const known = new Set([...ranks.keys(), template, server.cli.pid]);
  const strangers = processesWithEnv('TWINKLE_INSTANCE', server.instance).filter((pid) => !known.has(pid));
  const files = server.files().filter((path) => !filesBefore.includes(path));
  const marks = [server.instance, ...killed.map((pid) => `_${pid}_`)];
  const segments = readdirSync('/dev/shm').filter((name) => marks.some((mark) => name.includes(mark)));
  const node = sampleProcess(server.cli.pid);
  const more = node.descriptors - nodeBefore.descriptors;
  const grown = node.rssMb - nodeBefore.rssMb;
  return [
    ...(strangers.length > 0 ? [`processes of dead epochs: ${strangers}`] : []),
    ...(files.length > 0 ? [`files of dead epochs: ${files}`] : []),
    ...(segments.length > 0 ? [`segments of dead epochs: ${segments}`] : []),
    ...(more > MAX_MORE_DESCRIPTORS ? [`Node has ${more} more descriptors than before`] : []),
    ...(grown > MAX_GROWTH_MB ? [`Node has ${grown.toFixed(1)} MB more than before`] : []),
  ];
}

/** What the server leaves when it ends: nothing but its logs and incident reports. */
export async function leftBehind(server: VllmLoraServer): Promise<Faults> {
  const { instance } = server;
  server.cli.child.kill('SIGTERM');
  const { code } = await server.cli.ended;
  const processes = processesWithEnv('TWINKLE_INSTANCE', instance);
  const files = server.files().filter((path) => path.includes(instance));
  const segments = readdirSync('/dev/shm').filter((name) => name.includes(instance));
  return [
    ...(code === 0 ? [] : [`the server ended with ${code}`]),
    ...(processes.length > 0 ? [`processes that stayed: ${processes}`] : []),
    ...[...files, ...segments].map((path) => `stayed: ${path}`),
  ];
}

function killQuietly(pid: number): boolean {
  try {
    killProcess(pid, 'SIGKILL');
    return true;
  } catch {
    return false; // it died meanwhile
  }
}

async function recovered(server: VllmLoraServer): Promise<boolean> {
  const deadline = performance.now() + RECOVERY_MS;
  while (performance.now() < deadline) {
    if ((await server.replicas()).every(({ state }) => state === 'ready')) return true;
    await delay(LOOK_MS);
  }
  return false;
}
