/** The lives of one actor, as a table: what follows from what happened to it. Pure. */
import type { ActorState } from '../protocol/work.js';

/** Ray's words. PENDING: its first place or its constructor is waited for. */
export type ActorPhase = 'PENDING' | 'ALIVE' | 'RESTARTING' | 'DEAD';

/** What happened. */
export type ActorEvent =
  /** Its constructor has returned. */
  | { readonly e: 'born'; readonly path: string; readonly pid: number; readonly node: string }
  /** Its constructor raised: it is not tried again, since it would raise again. */
  | { readonly e: 'stillborn'; readonly reason: string; readonly cause: ActorState['cause'] }
  /** Its process ended, or could not be started. */
  | { readonly e: 'lost'; readonly reason: string }
  /** It can never be started. `code`: of src/errors.ts. */
  | { readonly e: 'unfit'; readonly reason: string; readonly code: string }
  /** Somebody killed it; `restart`: it may come back as after a loss. */
  | { readonly e: 'killed'; readonly reason: string; readonly restart: boolean };

export interface ActorLife {
  readonly phase: ActorPhase;
  /** Of this life: 0, and one more with each restart. */
  readonly epoch: number;
  /** -1: without end. */
  readonly restartsLeft: number;
  /** Lives in a row that ended before its constructor had returned. */
  readonly misses: number;
  readonly path: string;
  readonly pid: number;
  readonly node: string;
  readonly reason: string;
  readonly cause: ActorState['cause'];
  /** Of src/errors.ts: why it could not be started; null: it was, or did not have to be. */
  readonly code: string | null;
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 10_000;

/** @param maxRestarts -1: without end */
export function unborn(maxRestarts: number): ActorLife {
  const nowhere = { path: '', pid: 0, node: '', reason: '', cause: null, code: null };
  return { phase: 'PENDING', epoch: 0, restartsLeft: maxRestarts, misses: 0, ...nowhere };
}

/** Its life after that. A dead one stays as it is. */
export function after(life: ActorLife, event: ActorEvent): ActorLife {
  if (life.phase === 'DEAD') return life;
  switch (event.e) {
    case 'born': {
      const { path, pid, node } = event;
      return { ...life, phase: 'ALIVE', misses: 0, path, pid, node, reason: '' };
    }
    case 'stillborn':
      return { ...life, phase: 'DEAD', path: '', reason: event.reason, cause: event.cause };
    case 'unfit':
      return { ...life, phase: 'DEAD', path: '', reason: event.reason, code: event.code };
    case 'killed':
      return event.restart ? again(life, event.reason, 0) : { ...life, phase: 'DEAD', path: '', reason: event.reason };
    case 'lost':
      return again(life, event.reason, life.phase === 'ALIVE' ? 0 : life.misses + 1);
  }
}

/** Ms to wait before the next life: one that never gets to live must not take all the machine's time, however many restarts it has. */
export function pauseMs({ misses }: ActorLife): number {
  return misses < 2 ? 0 : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (misses - 2));
}

function again(life: ActorLife, reason: string, misses: number): ActorLife {
  const { restartsLeft, epoch } = life;
  if (restartsLeft === 0) return { ...life, phase: 'DEAD', path: '', reason };
  const left = restartsLeft < 0 ? restartsLeft : restartsLeft - 1;
  return { ...life, phase: 'RESTARTING', epoch: epoch + 1, restartsLeft: left, misses, path: '', reason };
}
