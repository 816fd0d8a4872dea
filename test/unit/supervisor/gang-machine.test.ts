import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  advance,
  type Failure,
  type GangEffect,
  type GangEvent,
  type GangMemory,
  newGang,
} from '../../../src/supervisor/gang-machine.js';

const BREAKER = { limit: 3, windowMs: 1000 };
const failure = (retry = true): Failure => ({ kind: 'exit', rank: 0, message: 'gone', retry });
const fault = (nowMs: number, retry = true): GangEvent => ({ on: 'fault', failure: failure(retry), nowMs });

function play(memory: GangMemory, ...events: GangEvent[]): { memory: GangMemory; effects: GangEffect[] } {
  const effects: GangEffect[] = [];
  let now = memory;
  for (const event of events) {
    const step = advance(now, event, BREAKER);
    now = step.memory;
    effects.push(...step.effects);
  }
  return { memory: now, effects };
}

const bringUp = (ranks: number): GangEvent[] => [
  { on: 'start' },
  ...Array.from({ length: ranks }, (_, rank): GangEvent => ({ on: 'hello', rank })),
  ...Array.from({ length: ranks }, (_, rank): GangEvent => ({ on: 'loaded', rank })),
];

describe('gang machine', () => {
  it('loads only when every rank has said hello, and is ready only when every rank has loaded', () => {
    const greeted = play(newGang(2), { on: 'start' }, { on: 'hello', rank: 0 }, { on: 'hello', rank: 0 });
    expect(greeted.effects).toEqual([{ do: 'spawn', epoch: 1 }]);
    const all = play(greeted.memory, { on: 'hello', rank: 1 });
    expect(all.effects).toEqual([{ do: 'load' }]);
    const half = play(all.memory, { on: 'loaded', rank: 1 }, { on: 'loaded', rank: 1 });
    expect(half.memory.state.at).toBe('starting');
    const whole = play(half.memory, { on: 'loaded', rank: 0 });
    expect(whole.memory.state.at).toBe('ready');
    expect(whole.effects).toEqual([{ do: 'announce-ready' }]);
  });

  it('tears the whole gang down on the first fault and ignores the faults that follow', () => {
    const up = play(newGang(2), ...bringUp(2));
    const broken = play(up.memory, fault(0), fault(1), { on: 'loaded', rank: 0 });
    expect(broken.effects.map((effect) => effect.do)).toEqual(['report', 'teardown']);
    const again = play(broken.memory, { on: 'gone' }, { on: 'backoff-over' });
    expect(again.effects).toEqual([
      { do: 'backoff', attempt: 0 },
      { do: 'spawn', epoch: 2 },
    ]);
  });

  it('backs off further with every failed start and forgets the streak once ready', () => {
    const cycle: GangEvent[] = [fault(0), { on: 'gone' }, { on: 'backoff-over' }];
    const twice = play(newGang(1), { on: 'start' }, ...cycle, fault(5000), { on: 'gone' });
    expect(twice.effects.filter((effect) => effect.do === 'backoff').map((effect) => effect.attempt)).toEqual([0, 1]);
    const ready = play(twice.memory, { on: 'backoff-over' }, { on: 'hello', rank: 0 }, { on: 'loaded', rank: 0 });
    expect(ready.memory.streak).toBe(0);
  });

  it('opens the breaker at the limit within the window, and not when failures are far apart', () => {
    const near = play(
      newGang(1),
      { on: 'start' },
      fault(0),
      { on: 'gone' },
      { on: 'backoff-over' },
      fault(10),
      { on: 'gone' },
      { on: 'backoff-over' },
      fault(20),
      { on: 'gone' },
    );
    expect(near.memory.state.at).toBe('failed');
    const far = play(
      newGang(1),
      { on: 'start' },
      fault(0),
      { on: 'gone' },
      { on: 'backoff-over' },
      fault(2000),
      { on: 'gone' },
      { on: 'backoff-over' },
      fault(4000),
      { on: 'gone' },
    );
    expect(far.memory.state.at).toBe('backoff');
  });

  it('does not try again what cannot succeed', () => {
    const { memory, effects } = play(newGang(1), { on: 'start' }, fault(0, false), { on: 'gone' });
    expect(memory.state).toEqual({ at: 'failed', failure: failure(false) });
    expect(effects.at(-1)).toEqual({ do: 'announce-failed', failure: failure(false) });
  });

  it('stops from every state, once', () => {
    const states = [
      newGang(1),
      play(newGang(1), { on: 'start' }).memory,
      play(newGang(1), ...bringUp(1)).memory,
      play(newGang(1), ...bringUp(1), fault(0)).memory,
      play(newGang(1), ...bringUp(1), fault(0), { on: 'gone' }).memory,
      play(newGang(1), { on: 'start' }, fault(0, false), { on: 'gone' }).memory,
    ];
    for (const memory of states) {
      const { memory: end, effects } = play(memory, { on: 'stop' }, { on: 'gone' }, { on: 'stop' });
      expect(end.state.at).toBe('stopped');
      expect(effects.filter((effect) => effect.do === 'announce-stopped')).toHaveLength(1);
    }
  });

  it('never spawns twice without the processes of the epoch before being gone', () => {
    const events: fc.Arbitrary<GangEvent> = fc.oneof(
      fc.constant<GangEvent>({ on: 'start' }),
      fc.record({ on: fc.constant('hello' as const), rank: fc.nat(2) }),
      fc.record({ on: fc.constant('loaded' as const), rank: fc.nat(2) }),
      fc.record({ on: fc.constant('fault' as const), failure: fc.boolean().map(failure), nowMs: fc.nat(5000) }),
      fc.constant<GangEvent>({ on: 'gone' }),
      fc.constant<GangEvent>({ on: 'backoff-over' }),
      fc.constant<GangEvent>({ on: 'stop' }),
    );
    fc.assert(
      fc.property(fc.array(events, { maxLength: 60 }), (script) => {
        let memory = newGang(3);
        let living = false;
        for (const event of script) {
          if (event.on === 'gone' && memory.state.at === 'teardown') living = false;
          const step = advance(memory, event, BREAKER);
          for (const effect of step.effects) {
            if (effect.do !== 'spawn') continue;
            expect(living).toBe(false);
            expect(effect.epoch).toBe(memory.epoch + 1);
            living = true;
          }
          memory = step.memory;
          if (memory.state.at === 'stopped' || memory.state.at === 'backoff') expect(living).toBe(false);
        }
      }),
    );
  });
});
