/** Waits for the end of a process that is not our child. */
import type { Native } from '../native/types.js';
import { isSameProcess } from '../runtime/instance-file.js';

/** Only without the addon: how often to look. */
const LOOK_MS = 100;

/**
 * Wait until the process is gone, at most `timeoutMs`.
 * @param native the addon (waits by pidfd), or null: looks ten times a second
 * @returns whether it is gone
 */
export function waitForProcessEnd(
  native: Native | null,
  target: { readonly pid: number; readonly pidStart: string },
  timeoutMs: number,
): Promise<boolean> {
  return new Promise((resolve) => {
    let look: NodeJS.Timeout | undefined;
    const finish = (): void => {
      clearTimeout(timer);
      clearInterval(look);
      native?.onExit(null);
      resolve(!isSameProcess(target));
    };
    const timer = setTimeout(finish, timeoutMs);
    if (native === null) {
      look = setInterval(() => {
        if (!isSameProcess(target)) finish();
      }, LOOK_MS);
      return;
    }
    native.onExit((exit) => {
      if (exit.pid === target.pid) finish();
    });
    try {
      native.watch(target.pid);
    } catch {
      // It is gone already.
      finish();
    }
  });
}
