/**
 * Ends process groups for certain: kill, await every member, look again, until nobody is left.
 * Members are awaited by pidfd; nothing here sleeps.
 */
import type { Native } from '../native/types.js';
import { groupMembers, processesWithEnv } from './proc.js';
import type { ProcessWatcher } from './process-watcher.js';

const SIGKILL = 9;

/**
 * Resolves when no living process of the groups is left, nor any that a rank started in a group of its own
 * (found by `TWINKLE_GANG` in its environment).
 */
export async function endGroups(
  native: Native,
  watcher: ProcessWatcher,
  groups: readonly number[],
  gang: string,
  instance: string,
): Promise<void> {
  for (;;) {
    for (const group of groups) native.killGroup(group, SIGKILL);
    const members = groupMembers(new Set(groups)).map(({ pid }) => pid);
    const mine = new Set(processesWithEnv('TWINKLE_INSTANCE', instance));
    const strays = processesWithEnv('TWINKLE_GANG', gang).filter((pid) => mine.has(pid) && pid !== process.pid);
    for (const pid of strays) if (!members.includes(pid)) killProcess(pid);
    const left = [...new Set([...members, ...strays])];
    if (left.length === 0) break;
    await Promise.all(left.map((pid) => watcher.gone(pid)));
  }
  native.reapAdopted(groups);
}

function killProcess(pid: number): void {
  try {
    process.kill(pid, SIGKILL);
  } catch {
    // gone meanwhile
  }
}
