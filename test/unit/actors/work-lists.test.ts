import { describe, expect, it } from 'vitest';
import type { ActorFacts } from '../../../src/actors/actor-desk.js';
import type { ObjectFacts } from '../../../src/actors/object-types.js';
import { listedActors, listedObjects, listedTasks } from '../../../src/actors/work-lists.js';

const PIDS = new Map([
  [1, 101],
  [2, 102],
]);
const pidOf = (client: number): number | null => PIDS.get(client) ?? null;

const actor: ActorFacts = {
  id: '1.0',
  cls: 'Counter',
  name: '',
  namespace: 'n',
  detached: false,
  state: 'ALIVE',
  epoch: 2,
  pid: 102,
  node: 'node-1',
  reason: '',
  resources: { CPU: 1 },
};
const object: ObjectFacts = {
  id: '1.1',
  state: 'sealed',
  bytes: 10,
  where: 'slab',
  holders: [1, 2],
  opens: 1,
  waiters: 0,
  containedIn: 0,
  owner: 1,
};

describe('what people see', () => {
  it('actors: lives after the first are restarts, and no reason is null', () => {
    const dead = { ...actor, state: 'DEAD' as const, pid: null, reason: 'it was killed' };
    const { cls, epoch, reason, ...rest } = actor;
    expect(listedActors([actor, dead])).toEqual([
      { ...rest, class: cls, restarts: epoch, reason: null },
      { ...rest, class: cls, restarts: epoch, reason: 'it was killed', state: 'DEAD', pid: null },
    ]);
    expect(reason).toBe('');
  });

  it('tasks: workers by pid; one that has ended, or that there is none, is null', () => {
    const task = { id: '1.2', name: 'f', kind: 'task', state: 'RUNNING', since: 5, callerPid: 101 };
    const tasks = [2, 9, null].map((worker) => ({ ...task, worker }));
    const others = { silent: [{ pid: 5, kind: 'driver' }], untold: [] };
    expect(listedTasks({ tasks, ...others }, pidOf)).toEqual({
      tasks: [
        { ...task, worker: 2, pid: 102 },
        { ...task, worker: 9, pid: null },
        { ...task, worker: null, pid: null },
      ],
      ...others,
    });
  });

  it('objects: holders and owners by pid, and none that stands for an actor', () => {
    const orphan = { ...object, id: '9.1', owner: 9, holders: [2, 9] };
    expect(listedObjects([object, { ...object, id: actor.id }, orphan], [actor], pidOf)).toEqual([
      { ...object, holders: [101, 102], owner: 101 },
      { ...orphan, holders: [102], owner: null },
    ]);
  });
});
