import { expect, it } from 'vitest';
import { RunSlots } from '../../../src/training/run-slots.js';

interface Named {
  readonly name: string;
}
let now = 0;
function slotsOf(limit: number) {
  now = 0;
  const parked: string[] = [];
  const alone = ({ name }: Named): boolean => name.startsWith('all');
  const park = ({ name }: Named): unknown => parked.push(name);
  const slots = new RunSlots<Named>({ limit, alone, nowMs: () => now, park });
  return { slots, parked };
}
const named = (...names: string[]): Named[] => names.map((name) => ({ name }));

it('has no more taken off than wait, the longest idle first', async () => {
  const { parked, slots } = slotsOf(3);
  const [a, b, c, d] = named('a', 'b', 'c', 'd') as [Named, Named, Named, Named];
  for (const one of [a, b, c]) {
    expect(await slots.take(one)).toBe(true);
    slots.idle(one);
  }
  slots.busy(a);
  slots.idle(a);
  const room = slots.take(d);
  expect([parked, slots.waits(d), slots.wanted]).toEqual([['b'], true, true]);
  slots.leave(b);
  expect([await room, slots.waits(d), [...slots.held]]).toEqual([true, false, [a, c, d]]);
});

it('gives room in the order in which it was asked for, and not to who left', async () => {
  const { slots } = slotsOf(1);
  const [a, b, c] = named('a', 'b', 'c') as [Named, Named, Named];
  await slots.take(a);
  const rooms = [slots.take(b), slots.take(c)];
  slots.leave(b);
  slots.leave(a);
  expect(await Promise.all(rooms)).toEqual([false, true]);
  expect([...slots.held]).toEqual([c]);
});

it('tries nobody else when one could not be taken off, until the next sweep', async () => {
  const { parked, slots } = slotsOf(2);
  const [a, b, c] = named('a', 'b', 'c') as [Named, Named, Named];
  for (const one of [a, b]) {
    await slots.take(one);
    slots.idle(one);
  }
  void slots.take(c);
  slots.rest();
  slots.stays(a);
  slots.idle(a);
  expect(parked).toEqual(['a']);
  slots.sweep(1000);
  expect(parked).toEqual(['a', 'b']);
});

it('takes off those that are idle for too long, a few at a time, and knows since when it is empty', async () => {
  const { parked, slots } = slotsOf(64);
  const all = named('a', 'b', 'c', 'd', 'e');
  for (const one of all) {
    await slots.take(one);
    slots.idle(one);
  }
  now = 999;
  slots.sweep(1000);
  expect(parked).toEqual([]);
  now = 1000;
  slots.sweep(1000);
  slots.sweep(1000);
  expect(parked).toEqual(['a', 'b', 'c', 'd']);
  for (const one of all) slots.leave(one);
  now = 1500;
  expect([slots.emptyFor(500), slots.emptyFor(501)]).toEqual([true, false]);
});

it('takes off those that lose something by it only when somebody waits, and not before their time', async () => {
  const { parked, slots } = slotsOf(3);
  const [a, b, c, d] = named('a', 'b', 'c', 'd') as [Named, Named, Named, Named];
  for (const one of [a, b, c]) {
    await slots.take(one);
    slots.idle(one, true);
  }
  now = 1000;
  slots.busy(b);
  slots.idle(b, true);
  slots.sweep(1000);
  expect(parked).toEqual([]);
  void slots.take(d);
  now = 1999;
  slots.sweep(1000);
  expect(parked).toEqual(['a']); // no more than wait
  slots.leave(a);
  void slots.take(a);
  void slots.take({ name: 'e' });
  slots.idle(c);
  expect(parked).toEqual(['a', 'c']); // it has stepped
  slots.sweep(1000);
  expect(parked).toEqual(['a', 'c']);
  now = 2000;
  slots.sweep(1000);
  expect(parked).toEqual(['a', 'c', 'b']);
});

it('gives one that has to be alone its turn: all others go, and nobody passes it by', async () => {
  const { parked, slots } = slotsOf(3);
  const [a, b, c, all, every] = named('a', 'b', 'c', 'all', 'all too') as [Named, Named, Named, Named, Named];
  for (const one of [a, b]) {
    await slots.take(one);
    slots.idle(one);
  }
  slots.busy(b);
  const rooms = [slots.take(all), slots.take(c), slots.take(every)];
  expect([parked, slots.waits(c)]).toEqual([['a'], true]);
  slots.leave(a);
  expect([...slots.held]).toEqual([b]);
  slots.idle(b);
  expect(parked).toEqual(['a', 'b']);
  slots.leave(b);
  expect([await rooms[0], [...slots.held]]).toEqual([true, [all]]);
  slots.idle(all);
  expect(parked).toEqual(['a', 'b', 'all']);
  slots.leave(all);
  expect([await rooms[1], [...slots.held], slots.waits(every)]).toEqual([true, [c], true]);
  // It wants nothing any more: those behind it need not wait.
  const last = slots.take(a);
  slots.leave(every);
  expect([await rooms[2], await last, [...slots.held]]).toEqual([false, true, [c, a]]);
});

it('has all who are idle taken off for one that has to be alone, when its turn comes only later', async () => {
  const { parked, slots } = slotsOf(3);
  const [a, b, c, d, all] = named('a', 'b', 'c', 'd', 'all') as [Named, Named, Named, Named, Named];
  for (const one of [a, b, c]) {
    await slots.take(one);
    slots.idle(one);
  }
  const rooms = [slots.take(d), slots.take(all)];
  slots.leave(a);
  expect(await rooms[0]).toBe(true);
  expect(parked).toEqual(['a', 'b', 'c']);
  for (const one of [b, c, d]) slots.leave(one);
  expect([await rooms[1], [...slots.held]]).toEqual([true, [all]]);
});
