/**
 * The life of a gang as a table: state and event in, state and effects out. Pure: no process, no clock, no random number.
 * `gang.ts` carries the effects out. A gang is the unit of failure: one dead rank means a dead communicator, so all ranks go.
 */

/** Why a gang broke: the first rank that failed is the one to look at. */
export interface Failure {
  readonly kind: 'exit' | 'error' | 'deadline' | 'silence' | 'spawn' | 'load' | 'protocol';
  /** -1 when no rank is to blame. */
  readonly rank: number;
  readonly message: string;
  /** False when starting again would end the same way: a model that cannot be loaded. */
  readonly retry: boolean;
}

export type GangState =
  | { readonly at: 'idle' }
  | { readonly at: 'starting'; readonly greeted: ReadonlySet<number>; readonly loaded: ReadonlySet<number> }
  | { readonly at: 'ready' }
  | { readonly at: 'teardown'; readonly next: 'restart' | 'stop' | 'give-up'; readonly failure: Failure | null }
  | { readonly at: 'backoff'; readonly failure: Failure }
  | { readonly at: 'failed'; readonly failure: Failure }
  | { readonly at: 'stopped' };

/** Everything the machine remembers. */
export interface GangMemory {
  readonly state: GangState;
  /** Processes that must say hello and load. */
  readonly members: number;
  /** Number of this start; 0 before the first. */
  readonly epoch: number;
  /** Times (ms) of failures inside the breaker's window. */
  readonly failures: readonly number[];
  /** Failures since the gang was last ready: what backoff counts. */
  readonly streak: number;
}

export interface BreakerPolicy {
  /** So many failures within the window open the breaker. */
  readonly limit: number;
  readonly windowMs: number;
}

export type GangEvent =
  | { readonly on: 'start' }
  | { readonly on: 'hello'; readonly rank: number }
  | { readonly on: 'loaded'; readonly rank: number }
  | { readonly on: 'fault'; readonly failure: Failure; readonly nowMs: number }
  /** Every process of the epoch is gone. */
  | { readonly on: 'gone' }
  | { readonly on: 'backoff-over' }
  | { readonly on: 'stop' };

export type GangEffect =
  | { readonly do: 'spawn'; readonly epoch: number }
  /** All ranks have said hello: load on each. */
  | { readonly do: 'load' }
  | { readonly do: 'announce-ready' }
  /** Fail what runs, write the incident, tell listeners. */
  | { readonly do: 'report'; readonly failure: Failure }
  /** End every process of the epoch; `gone` comes when none is left. */
  | { readonly do: 'teardown'; readonly graceful: boolean }
  | { readonly do: 'backoff'; readonly attempt: number }
  | { readonly do: 'announce-failed'; readonly failure: Failure }
  | { readonly do: 'announce-stopped' };

export interface Step {
  readonly memory: GangMemory;
  readonly effects: readonly GangEffect[];
}

/** A gang of so many processes that has not been started. */
export function newGang(members: number): GangMemory {
  return { state: { at: 'idle' }, members, epoch: 0, failures: [], streak: 0 };
}

/** One transition. An event that means nothing in a state changes nothing: late news of an older epoch are filtered before. */
export function advance(memory: GangMemory, event: GangEvent, breaker: BreakerPolicy): Step {
  const { state } = memory;
  const stay: Step = { memory, effects: [] };
  switch (event.on) {
    case 'start':
      return state.at === 'idle' || state.at === 'failed' || state.at === 'stopped'
        ? spawn({ ...memory, failures: [], streak: 0 })
        : stay;
    case 'hello':
      return state.at === 'starting' ? greet(memory, state, event.rank) : stay;
    case 'loaded':
      return state.at === 'starting' ? load(memory, state, event.rank) : stay;
    case 'fault':
      return state.at === 'starting' || state.at === 'ready'
        ? fault(memory, event.failure, event.nowMs, breaker)
        : stay;
    case 'gone':
      return state.at === 'teardown' ? gone(memory, state) : stay;
    case 'backoff-over':
      return state.at === 'backoff' ? spawn(memory) : stay;
    case 'stop':
      return stop(memory);
  }
}

function spawn(memory: GangMemory): Step {
  const epoch = memory.epoch + 1;
  const state: GangState = { at: 'starting', greeted: new Set(), loaded: new Set() };
  return { memory: { ...memory, epoch, state }, effects: [{ do: 'spawn', epoch }] };
}

function greet(memory: GangMemory, state: GangState & { at: 'starting' }, rank: number): Step {
  if (state.greeted.has(rank)) return { memory, effects: [] };
  const greeted = new Set(state.greeted).add(rank);
  return {
    memory: { ...memory, state: { ...state, greeted } },
    effects: greeted.size === memory.members ? [{ do: 'load' }] : [],
  };
}

function load(memory: GangMemory, state: GangState & { at: 'starting' }, rank: number): Step {
  const loaded = new Set(state.loaded).add(rank);
  if (loaded.size < memory.members) return { memory: { ...memory, state: { ...state, loaded } }, effects: [] };
  return { memory: { ...memory, state: { at: 'ready' }, streak: 0 }, effects: [{ do: 'announce-ready' }] };
}

function fault(memory: GangMemory, failure: Failure, nowMs: number, breaker: BreakerPolicy): Step {
  const failures = [...memory.failures.filter((at) => nowMs - at < breaker.windowMs), nowMs];
  const again = failure.retry && failures.length < breaker.limit;
  const state: GangState = { at: 'teardown', next: again ? 'restart' : 'give-up', failure };
  return {
    memory: { ...memory, state, failures },
    effects: [
      { do: 'report', failure },
      { do: 'teardown', graceful: false },
    ],
  };
}

function gone(memory: GangMemory, state: GangState & { at: 'teardown' }): Step {
  const { failure } = state;
  if (state.next === 'stop' || failure === null) {
    return { memory: { ...memory, state: { at: 'stopped' } }, effects: [{ do: 'announce-stopped' }] };
  }
  if (state.next === 'give-up') {
    return { memory: { ...memory, state: { at: 'failed', failure } }, effects: [{ do: 'announce-failed', failure }] };
  }
  const streak = memory.streak + 1;
  return {
    memory: { ...memory, streak, state: { at: 'backoff', failure } },
    effects: [{ do: 'backoff', attempt: streak - 1 }],
  };
}

function stop(memory: GangMemory): Step {
  const { state } = memory;
  switch (state.at) {
    case 'stopped':
      return { memory, effects: [] };
    case 'teardown':
      return { memory: { ...memory, state: { ...state, next: 'stop' } }, effects: [] };
    case 'starting':
    case 'ready':
      return {
        memory: { ...memory, state: { at: 'teardown', next: 'stop', failure: null } },
        effects: [{ do: 'teardown', graceful: state.at === 'ready' }],
      };
    default:
      return { memory: { ...memory, state: { at: 'stopped' } }, effects: [{ do: 'announce-stopped' }] };
  }
}
