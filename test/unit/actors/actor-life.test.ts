import { describe, expect, it } from 'vitest';
import { type ActorEvent, type ActorLife, after, pauseMs, unborn } from '../../../src/actors/actor-life.js';

const born: ActorEvent = { e: 'born', path: '/s', pid: 7, node: 'n0' };
const lost: ActorEvent = { e: 'lost', reason: 'its process ended' };
const stillborn: ActorEvent = { e: 'stillborn', reason: 'it raised', cause: { f: 'error', s: [1], at: '', refs: [] } };
const killed = (restart: boolean): ActorEvent => ({ e: 'killed', reason: 'it was killed', restart });
const lived = (restarts: number, ...events: ActorEvent[]): ActorLife => events.reduce(after, unborn(restarts));

describe('life of an actor', () => {
  it.each<[string, number, ActorEvent[], Partial<ActorLife>]>([
    ['waits at first', 3, [], { phase: 'PENDING', epoch: 0, path: '' }],
    ['lives when it is born', 0, [born], { phase: 'ALIVE', epoch: 0, path: '/s', pid: 7, node: 'n0', reason: '' }],
    [
      'is dead when it is lost without restarts',
      0,
      [born, lost],
      { phase: 'DEAD', path: '', reason: 'its process ended' },
    ],
    ['starts again while it may', 1, [born, lost], { phase: 'RESTARTING', epoch: 1, restartsLeft: 0, path: '' }],
    ['forgets why once it lives again', 1, [born, lost, born], { phase: 'ALIVE', epoch: 1, reason: '' }],
    ['is dead after its last restart', 1, [born, lost, born, lost], { phase: 'DEAD', epoch: 1 }],
    ['starts again without end', -1, [born, lost, lost, lost], { phase: 'RESTARTING', epoch: 3, restartsLeft: -1 }],
    [
      'is not tried again when its constructor raises',
      5,
      [stillborn],
      { phase: 'DEAD', epoch: 0, reason: 'it raised' },
    ],
    ['is dead when it is killed, whatever it has left', -1, [born, killed(false)], { phase: 'DEAD', epoch: 0 }],
    ['may be killed to start again', 1, [born, killed(true)], { phase: 'RESTARTING', epoch: 1 }],
    ['is dead when it is killed to start again and may not', 0, [born, killed(true)], { phase: 'DEAD' }],
    ['is dead for ever', -1, [killed(false), born, lost, stillborn], { phase: 'DEAD', reason: 'it was killed' }],
  ])('%s', (_what, restarts, events, expected) => {
    expect(lived(restarts, ...events)).toMatchObject(expected);
  });

  it('is the very same when nothing follows from what happened', () => {
    const dead = lived(0, lost);
    expect(after(dead, born)).toBe(dead);
  });

  it('makes longer pauses the more often it dies before it lives, and none once it has lived', () => {
    const pauses = [1, 2, 3, 4, 12].map((times) => pauseMs(lived(-1, ...Array<ActorEvent>(times).fill(lost))));
    expect(pauses).toEqual([0, 100, 200, 400, 10_000]);
    expect(pauseMs(lived(-1, lost, lost, lost, born, lost))).toBe(0);
    expect(pauseMs(lived(-1, lost, lost, killed(true)))).toBe(0);
  });
});
