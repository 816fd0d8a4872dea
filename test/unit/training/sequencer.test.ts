import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Sequencer } from '../../../src/training/sequencer.js';

it('holds what comes early: the SDK sends the chunks of a call in the order 2, 3, …, n, 1', () => {
  const order = new Sequencer<string>();
  expect([order.offer(2, 'b'), order.offer(3, 'c'), order.held]).toEqual([[], [], 2]);
  expect(order.offer(1, 'a')).toEqual(['a', 'b', 'c']);
  expect([order.held, order.next]).toEqual([0, 4]);
});

it('goes on behind a number that was refused', () => {
  const order = new Sequencer<string>();
  expect(order.offer(2, 'b')).toEqual([]);
  expect(order.offer(1, null)).toEqual(['b']);
});

it('does nothing twice', () => {
  const order = new Sequencer<string>();
  order.offer(3, 'c');
  expect([order.has(3), order.has(2), order.offer(3, 'again')]).toEqual([true, false, []]);
  order.offer(1, 'a');
  expect(order.offer(1, 'again')).toEqual([]);
  expect(order.offer(2, 'b')).toEqual(['b', 'c']);
});

it('releases everything once and in order, however it comes', () => {
  const numbers = fc.integer({ min: 1, max: 40 });
  fc.assert(
    fc.property(
      numbers.chain((size) =>
        fc.shuffledSubarray(
          Array.from({ length: size }, (_, at) => at + 1),
          { minLength: size },
        ),
      ),
      fc.array(numbers),
      (sent, again) => {
        const order = new Sequencer<number>();
        const released = [...sent, ...again.filter((number) => number <= sent.length)].flatMap((number) =>
          order.offer(number, number),
        );
        expect(released).toEqual([...sent].sort((a, b) => a - b));
      },
    ),
  );
});
