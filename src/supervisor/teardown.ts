/**
 * Ends process groups for certain: kill, await every member, look again, until nobody is left.
 * Members are awaited by pidfd; only where the machine is out of descriptors does it look again after a pause.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Native } from '../native/types.js';
import { groupMembers, processesWithAll } from './proc.js';
import type { ProcessWatcher } from './process-watcher.js';

const SIGKILL = 9;
const PAUSE_MS = 100;

/**
 * Resolves when no living process of the groups is left, nor any that a rank started in a group of its own
 * (found by `TWINKLE_GANG` in its environment). Never rejects: an end cannot be given up.
 */
export async function endGroups(
  native: Native,
  watcher: ProcessWatcher,
  groups: readonly number[],
  gang: string,
  instance: string,
): Promise<void> {
  const leaders = new Set(groups);
  await endAll(native, watcher, groups, () => [
    ...groupMembers(leaders).map(({ pid }) => pid),
    ...processesWithAll([`TWINKLE_INSTANCE=${instance}`, `TWINKLE_GANG=${gang}`]),
  ]);
}

/** Resolves when no living process of the instance is left: the last look, for what no gang and no template knows of. */
export async function endInstance(native: Native, watcher: ProcessWatcher, instance: string): Promise<void> {
  await endAll(native, watcher, [], () => processesWithAll([`TWINKLE_INSTANCE=${instance}`]));
}

async function endAll(
  native: Native,
  watcher: ProcessWatcher,
  groups: readonly number[],
  find: () => readonly number[],
): Promise<void> {
  for (;;) {
    for (const group of groups) quietly(() => native.killGroup(group, SIGKILL));
    let left: readonly number[];
    try {
      left = [...new Set(find())].filter((pid) => pid !== process.pid);
    } catch {
      await delay(PAUSE_MS); // /proc cannot be opened: no descriptor is free
      continue;
    }
    if (left.length === 0) break;
    for (const pid of left) quietly(() => process.kill(pid, SIGKILL));
    await Promise.all(left.map((pid) => watcher.gone(pid)));
  }
  quietly(() => native.reapAdopted(groups));
}

function quietly(act: () => unknown): void {
  try {
    act();
  } catch {
    // Gone meanwhile, or not ours to end: the next look tells.
  }
}
