import { expect, it } from 'vitest';
import { RunGate } from '../../../src/training/run-gate.js';
import { type Deferred, deferred } from '../../../src/util/deferred.js';
import { flush } from './fake-trainer.js';

interface Item {
  readonly name: string;
  readonly ready: Promise<unknown> | null;
}

function gate(): { gate: RunGate<Item>; said: string[]; offer(name: string, ready?: Deferred<void>): void } {
  const said: string[] = [];
  const made = new RunGate<Item>(
    ({ name }) => void said.push(name),
    ({ name }, error) => void said.push(`${name} ${String(error)}`),
  );
  return { gate: made, said, offer: (name, ready) => made.offer({ name, ready: ready?.promise ?? null }) };
}

it('what waits for nothing passes at once, and what is behind one that waits, behind it', async () => {
  const { gate: made, offer, said } = gate();
  const [first, second] = [deferred<void>(), deferred<void>()];
  offer('a');
  offer('b', first);
  offer('c');
  offer('d', second);
  offer('e');
  second.resolve();
  await flush();
  expect([said, made.first?.name]).toEqual([['a'], 'b']);
  first.resolve();
  await flush();
  expect([said, made.first]).toEqual([['a', 'b', 'c', 'd', 'e'], null]);
});

it('what cannot have what it waits for is told so, and the others go on', async () => {
  const { offer, said } = gate();
  const never = deferred<void>();
  offer('a', never);
  offer('b');
  never.reject('gone');
  await flush();
  expect(said).toEqual(['a gone', 'b']);
});

it('what was cleared does not pass', async () => {
  const { gate: made, offer, said } = gate();
  const late = deferred<void>();
  offer('a', late);
  offer('b');
  expect(made.clear().map(({ name }) => name)).toEqual(['a', 'b']);
  late.resolve();
  offer('c');
  await flush();
  expect(said).toEqual(['c']);
});
