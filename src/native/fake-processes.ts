/** Processes of the fake addon: records of what was asked; the test decides how they end. */
import { TwinkleError } from '../errors.js';
import type { FakeDescriptors } from './fake-descriptors.js';
import type { Native, ProcessExit, SpawnOptions } from './types.js';

const SIGKILL = 9;

/** A process that was "started". */
export interface FakeProcess {
  readonly pid: number;
  readonly options: SpawnOptions;
  /** Signals sent to its group, in order. */
  readonly signals: number[];
  alive: boolean;
}

/** How a test ends a process: one of code and signal. */
export type FakeEnd = { readonly code: number } | { readonly signal: number };

/** What a test sees and does. */
export interface FakeProcessControl {
  readonly spawned: readonly FakeProcess[];
  /** Pids under watch(). */
  readonly watched: ReadonlySet<number>;
  /** End a spawned or watched process; its end arrives in a microtask. */
  end(pid: number, how: FakeEnd): void;
}

type ProcessCalls = Pick<Native, 'spawn' | 'watch' | 'onExit' | 'killGroup'>;

/** SIGKILL ends a process as the kernel would; any other signal is only recorded. */
export function createFakeProcesses(descriptors: FakeDescriptors): ProcessCalls & { control: FakeProcessControl } {
  const spawned: FakeProcess[] = [];
  const watched = new Set<number>();
  const waiting: ProcessExit[] = [];
  let listener: ((exit: ProcessExit) => void) | null = null;
  let nextPid = 1_000_000;

  const deliver = () => {
    while (listener !== null) {
      const exit = waiting.shift();
      if (exit === undefined) return;
      listener(exit);
    }
  };
  const end = (pid: number, how: FakeEnd) => {
    const child = spawned.find((process) => process.pid === pid && process.alive);
    if (child === undefined && !watched.delete(pid)) {
      throw new TwinkleError('INTERNAL', `no fake process ${pid} lives; end one of spawned or watched`);
    }
    if (child !== undefined) child.alive = false;
    const known = child !== undefined;
    waiting.push({
      pid,
      code: known && 'code' in how ? how.code : null,
      signal: known && 'signal' in how ? how.signal : null,
      child: known,
      maxRssKb: 0,
      userMs: 0,
      systemMs: 0,
    });
    queueMicrotask(deliver);
  };

  return {
    control: { spawned, watched, end },
    spawn(options) {
      for (const [, parent] of options.fds) if (parent > 2) descriptors.check(parent);
      nextPid += 1;
      spawned.push({ pid: nextPid, options, signals: [], alive: true });
      return nextPid;
    },
    watch(pid) {
      watched.add(pid);
    },
    onExit(next) {
      listener = next;
      queueMicrotask(deliver);
    },
    killGroup(group, signal) {
      const target = spawned.find((process) => process.pid === group && process.alive);
      if (target === undefined) return false;
      target.signals.push(signal);
      if (signal === SIGKILL) end(group, { signal });
      return true;
    },
  };
}
