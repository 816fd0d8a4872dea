import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FairQueue } from '../../../src/serving/fair-queue.js';

describe('fair queue', () => {
  it('takes tenants in turn, each in its own order', () => {
    const queue = new FairQueue<string>();
    for (const item of ['a1', 'a2', 'a3']) queue.push('a', item);
    queue.push('b', 'b1');
    expect([queue.shift(), queue.shift(), queue.shift(), queue.shift(), queue.shift()]).toEqual([
      'a1',
      'b1',
      'a2',
      'a3',
      undefined,
    ]);
  });

  it('serves what was put back first', () => {
    const queue = new FairQueue<string>();
    queue.push('a', 'a1');
    queue.push('b', 'b1');
    queue.unshift('b', 'b0');
    expect([queue.shift(), queue.shift(), queue.shift()]).toEqual(['b0', 'a1', 'b1']);
  });

  it('keeps its length and loses nothing under any script', () => {
    const op = fc.record({
      kind: fc.constantFrom('push', 'unshift', 'shift', 'remove'),
      tenant: fc.constantFrom('a', 'b', 'c'),
    });
    fc.assert(
      fc.property(fc.array(op, { maxLength: 80 }), (script) => {
        const queue = new FairQueue<number>();
        const inside = new Map<number, string>();
        script.forEach(({ kind, tenant }, item) => {
          if (kind === 'push' || kind === 'unshift') {
            queue[kind](tenant, item);
            inside.set(item, tenant);
          } else if (kind === 'shift') {
            const next = queue.peek();
            expect(queue.shift()).toBe(next);
            if (next !== undefined) expect(inside.delete(next)).toBe(true);
          } else {
            const [victim] = [...inside].find(([, owner]) => owner === tenant) ?? [-1];
            expect(queue.remove(tenant, victim)).toBe(inside.delete(victim));
          }
          expect(queue.length).toBe(inside.size);
          expect(new Set(queue.items())).toEqual(new Set(inside.keys()));
        });
      }),
    );
  });
});
