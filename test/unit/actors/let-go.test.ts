import { expect, it } from 'vitest';
import { LetGoRounds } from '../../../src/actors/let-go.js';

function setUp(...clients: number[]) {
  const told: [number, unknown][] = [];
  let late = (): void => {};
  let timers = 0;
  const there = new Set(clients);
  const rounds = new LetGoRounds(
    (client) => (there.has(client) ? { tell: (method, params) => told.push([client, [method, params]]) } : undefined),
    (_ms, act) => {
      timers++;
      late = act;
      return () => void timers--;
    },
  );
  const ask = (...wanted: number[]): (() => Promise<boolean>) => {
    let over = false;
    void rounds.ask(wanted, true)?.then(() => {
      over = true;
    });
    return async () => {
      await new Promise(setImmediate);
      return over;
    };
  };
  return { rounds, told, ask, late: () => late(), timers: () => timers };
}

it('ends when all who were asked have answered or ended, and asks nobody who is not there', async () => {
  const { rounds, told, ask, timers } = setUp(1, 2, 3);
  const over = ask(1, 2, 9);
  expect(told).toEqual([1, 2].map((client) => [client, ['object.let-go', { token: 1, collect: true }]]));
  rounds.done(3, 1);
  rounds.done(1, 77);
  rounds.done(1, 1);
  rounds.done(1, 1);
  expect(await over()).toBe(false);
  rounds.gone(2);
  expect([await over(), timers()]).toEqual([true, 0]);
});

it('goes on without who does not answer', async () => {
  const { rounds, ask, late } = setUp(1, 2);
  const over = ask(1, 2);
  rounds.done(1, 1);
  late();
  expect(await over()).toBe(true);
  rounds.done(2, 1);
});

it('is nothing when nobody has to be asked', () => {
  const { rounds, timers } = setUp(1);
  expect([rounds.ask([], false), rounds.ask([9], false), timers()]).toEqual([null, null, 0]);
});
