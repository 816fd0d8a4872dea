import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FairQueue } from '../../../src/serving/fair-queue.js';

/** Take whose turn it is; tenants are named by the first letter of their items. */
function next(queue: FairQueue<string>, skip?: (item: string) => boolean): string | undefined {
  const item = queue.peek(skip);
  if (item !== undefined) queue.take(item.slice(0, 1), item);
  return item;
}

describe('fair queue', () => {
  it('takes tenants in turn, each in its own order', () => {
    const queue = new FairQueue<string>();
    for (const item of ['a1', 'a2', 'a3']) queue.push('a', item);
    queue.push('b', 'b1');
    expect([next(queue), next(queue), next(queue), next(queue), next(queue)]).toEqual([
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
    expect([next(queue), next(queue), next(queue)]).toEqual(['b0', 'a1', 'b1']);
  });

  it('passes over what is to be skipped, which keeps its place', () => {
    const queue = new FairQueue<string>();
    for (const item of ['a1', 'a2', 'b1']) queue.push(item.slice(0, 1), item);
    const skip = (item: string): boolean => item === 'a1';
    expect([next(queue, skip), next(queue, skip), next(queue, skip)]).toEqual(['a2', 'b1', undefined]);
    expect([next(queue), queue.length]).toEqual(['a1', 0]);
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
            const first = queue.peek();
            if (first === undefined) return;
            queue.take(inside.get(first) ?? '', first);
            expect(inside.delete(first)).toBe(true);
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
