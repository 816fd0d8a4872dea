/** The table of objects against a naive model, by chance that repeats. */
import { describe, expect, it } from 'vitest';
import { ObjectTable } from '../../../src/actors/object-table.js';
import type { StoredValue } from '../../../src/actors/object-types.js';
import { simulate } from './object-simulation.js';

const SEEDS = [1, 2, 3, 4, 5, 6];
const STEPS = 2000;

describe('an object table under random operations', () => {
  it.each(SEEDS)(
    'keeps what a naive model keeps, frees each block once and tells each waiter once (seed %i)',
    (seed) => {
      const counts = simulate(seed, STEPS, (sink) => new ObjectTable(sink));
      expect([...counts.keys()].sort()).toEqual(
        ['abandon', 'close', 'drop', 'fail', 'forget', 'gone', 'hold'].concat([
          'move',
          'open',
          'promise',
          'publish',
          'reserve',
          'seal',
          'seal away',
          'wait',
          'watch',
        ]),
      );
    },
  );

  it('is seen when a drop forgets one of its objects', () => {
    class Forgetful extends ObjectTable<StoredValue> {
      override drop(client: number, ids: readonly string[]): void {
        super.drop(client, ids.slice(0, 2));
      }
    }
    expect(() => simulate(1, STEPS, (sink) => new Forgetful(sink))).toThrow(/after drop: (living|.*holders)/);
  });

  it('is seen when a drop takes the views of the client, too', () => {
    class Greedy extends ObjectTable<StoredValue> {
      override drop(client: number, ids: readonly string[]): void {
        super.drop(client, ids);
        for (const id of ids) this.close(client, id);
      }
    }
    expect(() => simulate(1, STEPS, (sink) => new Greedy(sink))).toThrow(/after drop: /);
  });
});
