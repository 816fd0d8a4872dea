/** What is promised of actors: order, calls at once, lives, names, ends, places. As Ray documents it, from Node. */
import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ActorOptions } from '../../src/index.js';
import type { ActorHandle } from '../../src/work/handle.js';
import type { Runtime } from '../../src/work/runtime.js';
import { isAlive, killProcess } from '../support/gang-kit.js';
import { eventually, WorkBox } from '../support/work-box.js';

let box: WorkBox;
let runtime: Runtime;
beforeAll(async () => {
  box = await WorkBox.open();
  runtime = box.runtime;
});
afterAll(() => box[Symbol.asyncDispose]());

// biome-ignore lint/suspicious/noExplicitAny: what actors take and give is what the test is about
type Any = Record<string, (...args: any[]) => any>;
const make = (cls: string, options: ActorOptions = {}, ...args: unknown[]) =>
  runtime.actor<Any>(`behaviour.py:${cls}`, options).create(...args);
const until = (...args: unknown[]) => runtime.task('behaviour.py:until').remote(...args);
const pidOf = async (actor: ActorHandle<Any>): Promise<number> => (await actor.call('pid')) as number;
const caught = (promise: Promise<unknown>): Promise<Error & { code?: string }> =>
  promise.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: Error) => error,
  );

describe('calls of one program', () => {
  it('run in the order in which they were made, also when one waits for a reference', async () => {
    using notes = await make('Notes');
    const gate = box.path();
    using late = until(gate, 'late');
    const refs = [
      notes.remote('add', 0),
      notes.remote('add', late),
      notes.remote('add', 2),
      notes.remote('add', 3, [late]),
    ];
    const many = Array.from({ length: 500 }, (_, at) => notes.remote('add', at + 4));
    expect(await runtime.get(refs[0] as (typeof refs)[0])).toBe(0);
    expect((await runtime.wait(refs.slice(1), { timeoutMs: 50 })).ready).toEqual([]);
    box.touch(gate);
    await runtime.get(many);
    expect(await notes.call('all')).toEqual([0, 'late', ...Array.from({ length: 502 }, (_, at) => at + 2)]);
  });

  it('of an actor that runs several at once do not wait for one that cannot begin', async () => {
    using notes = await make('Notes', { maxConcurrency: 2 });
    const gate = box.path();
    using late = until(gate, 'late');
    const waits = notes.remote('add', late);
    expect(await notes.call('add', 'quick')).toBe('quick');
    box.touch(gate);
    await runtime.get(waits);
    expect(await notes.call('all')).toEqual(['quick', 'late']);
  });
});

describe('calls at once', () => {
  it('are as many as maxConcurrency says: one by default, or a thousand coroutines', async () => {
    for (const [options, most] of [
      [{ maxConcurrency: 3 }, 3],
      [{}, 1],
    ] as const) {
      using crowd = await make('Crowd', options);
      const [folder, gate] = [box.path(true), box.path()];
      const refs = Array.from({ length: 6 }, () => crowd.remote('enter', folder, gate));
      await eventually(
        () => readdirSync(folder).filter((name) => name.startsWith('in-') && !name.includes('.')).length >= most,
      );
      box.touch(gate);
      await runtime.get(refs);
      expect(await crowd.call('peak')).toBe(most);
    }
    using naps = await make('Naps');
    const met = await Promise.all(Array.from({ length: 100 }, () => naps.call('meet', 100)));
    expect(met).toEqual(Array(100).fill(100));
  });

  it('of one group do not wait for those of another, by the class or by the call', async () => {
    using grouped = await make('Grouped', { concurrencyGroups: { io: 2, compute: 1 } });
    const [gate, began, blocked] = [box.path(), [box.path(), box.path()], box.path()];
    const fetched = began.map((path) => grouped.remote('fetch', gate, path));
    for (const path of began) await box.begun(path); // both at once
    expect(await grouped.call('compute', 5)).toBe(25);
    expect(await grouped.call('plain')).toBe('plain');
    const block = grouped.remote('block', gate, blocked);
    await box.begun(blocked); // the default group is full
    using inCompute = grouped.withOptions({ concurrencyGroup: 'compute' });
    expect(await inCompute.call('plain')).toBe('plain');
    using nowhere = grouped.withOptions({ concurrencyGroup: 'nope' });
    expect((await caught(nowhere.call('plain'))).message).toContain('no concurrency group `nope`');
    box.touch(gate);
    expect(await runtime.get([...fetched, block])).toEqual(['fetched', 'fetched', 'fetched']);
  });

  it('more than maxPendingCalls are refused', async () => {
    using notes = await make('Notes', { maxPendingCalls: 2 });
    const gate = box.path();
    const refs = [notes.remote('until', gate), notes.remote('pid')];
    expect(() => notes.remote('pid')).toThrow(expect.objectContaining({ code: 'OVERLOADED' }));
    box.touch(gate);
    await runtime.get(refs);
    expect(await pidOf(notes)).toBeGreaterThan(1);
  });
});

describe('an actor whose process is killed', () => {
  it('comes back without its state; calls that ran are sent again, where that is allowed', async () => {
    using notes = await make('Notes', { maxRestarts: 1, maxTaskRetries: 1 }, 'first');
    await notes.call('add', 'second');
    const [gate, began] = [box.path(), box.path()];
    const running = notes.remote('until', gate, began);
    const queued = notes.remote('all');
    const first = await box.begun(began);
    killProcess(first, 'SIGKILL');
    box.touch(gate);
    const second = await runtime.get(running);
    expect(second).not.toBe(first);
    expect(await runtime.get(queued)).toEqual(['first']);
    killProcess(second as number, 'SIGKILL');
    expect(await caught(notes.call('all'))).toMatchObject({ code: 'ACTOR_DIED' }); // it had one restart
  });

  it('comes back, and calls that ran fail, where they may not be sent again', async () => {
    using notes = await make('Notes', { maxRestarts: -1 });
    for (let life = 0; life < 2; life++) {
      const began = box.path();
      const running = notes.call('until', box.path(), began);
      killProcess(await box.begun(began), 'SIGKILL');
      expect(await caught(running)).toMatchObject({ code: 'ACTOR_DIED', details: { restarting: true } });
      expect(await notes.call('add', life)).toBe(life);
    }
    expect(await notes.call('all')).toEqual([1]);
  });

  it('is dead when it has no restarts: calls say which, where, and how it ended', async () => {
    using notes = await make('Notes');
    const pid = await pidOf(notes);
    const running = notes.call('until', box.path());
    killProcess(pid, 'SIGKILL');
    for (const error of [await caught(running), await caught(notes.call('all'))]) {
      expect(error).toMatchObject({ code: 'ACTOR_DIED', details: { class: 'Notes', pid, actor: notes.id } });
      expect(error.message).toMatch(/SIGKILL|signal 9/);
    }
  });

  it('or by kill({ restart }), or is dead by kill()', async () => {
    using notes = await make('Notes', { maxRestarts: 3 });
    const first = await pidOf(notes);
    await notes.kill({ restart: true });
    await eventually(async () => (await notes.call('pid').catch(() => first)) !== first);
    const second = await pidOf(notes);
    expect(isAlive(first)).toBe(false);
    await notes.kill();
    expect(await caught(notes.call('pid'))).toMatchObject({ code: 'ACTOR_DIED' });
    await eventually(() => !isAlive(second));
  });
});

describe('a constructor that raises', () => {
  it('is not tried again; every call has its exception as the cause', async () => {
    using refuses = await make('Refuses', { maxRestarts: 3 }, 'four');
    for (const error of [await caught(refuses.call('ask')), await caught(refuses.call('ask'))]) {
      expect(error).toMatchObject({
        code: 'ACTOR_DIED',
        cause: { remoteType: 'behaviour.Custom', remoteMessage: 'code 4' },
      });
      expect(error.message).toContain('raise Custom(len(value))');
    }
  });

  it('so is one whose class names a group that nobody gave', async () => {
    using grouped = await make('Grouped', { concurrencyGroups: { io: 1 } });
    expect((await caught(grouped.call('plain'))).message).toContain('`compute`');
  });

  it('waits for references among its arguments, and fails with them', async () => {
    const gate = box.path();
    using notes = await make('Notes', {}, until(gate, 'late'));
    const all = notes.remote('all');
    expect((await runtime.wait([all], { timeoutMs: 30 })).ready).toEqual([]);
    box.touch(gate);
    expect(await runtime.get(all)).toEqual(['late']);
    using bad = await make('Notes', {}, runtime.task('behaviour.py:fail').remote('bad'));
    expect(await caught(bad.call('all'))).toMatchObject({ code: 'ACTOR_DIED', cause: { remoteType: 'ValueError' } });
  });
});

describe('a name', () => {
  it('is one actor of its namespace, found by others; getIfExists gives that', async () => {
    using notes = await make('Notes', { name: 'notes' });
    expect((await caught(make('Notes', { name: 'notes' }))).code).toBe('ACTOR_NAME_TAKEN');
    using same = await make('Notes', { name: 'notes', getIfExists: true });
    using other = await make('Notes', { name: 'notes', namespace: 'elsewhere' });
    expect([same.id === notes.id, other.id === notes.id]).toEqual([true, false]);
    await notes.call('add', 1);
    using found = await runtime.getActor<Any>('notes');
    expect(await found.call('all')).toEqual([1]);
    expect(await runtime.actorNames()).toEqual([{ namespace: 'default', name: 'notes' }]);
    expect(await runtime.actorNames(null)).toHaveLength(2);
    expect((await caught(runtime.getActor('nobody'))).code).toBe('ACTOR_NOT_FOUND');
  });

  it('of a detached actor outlives its maker; another ends with it', async () => {
    const other = await box.join({ namespace: 'other' });
    const [kept, gone] = [
      await other.actor<Any>('behaviour.py:Notes', { name: 'kept', lifetime: 'detached' }).create(),
      await other.actor<Any>('behaviour.py:Notes', { name: 'gone' }).create(),
    ];
    await kept.call('add', 'still here');
    const pid = await pidOf(gone);
    await other[Symbol.asyncDispose]();
    await eventually(() => !isAlive(pid));
    using found = await runtime.getActor<Any>('kept', 'other');
    expect(await found.call('all')).toEqual(['still here']);
    expect((await caught(runtime.getActor('gone', 'other'))).code).toBe('ACTOR_NOT_FOUND');
    await found.kill();
  });

  it('whose last handle is let go of is free again', async () => {
    const first = await make('Notes', { name: 'short' });
    const pid = await pidOf(first);
    first[Symbol.dispose]();
    await eventually(() => !isAlive(pid));
    expect(() => first.remote('pid')).toThrow('was disposed of');
    using second = await make('Notes', { name: 'short' });
    expect(await pidOf(second)).not.toBe(pid);
  });
});

describe('cancelling', () => {
  it('a coroutine interrupts it; a call that waits never begins; force is for tasks', async () => {
    using naps = await make('Naps');
    const began = box.path();
    const ref = naps.remote('sleep', began);
    await box.begun(began);
    expect(() => runtime.cancel(ref, { force: true })).toThrow('`force` is for tasks');
    runtime.cancel(ref);
    expect((await caught(runtime.get(ref))).code).toBe('ABORTED');
    expect(await naps.call('how')).toBe('cancelled');
    using notes = await make('Notes');
    const gate = box.path();
    const running = notes.remote('until', gate);
    const controller = new AbortController();
    using signalled = notes.withOptions({ signal: controller.signal });
    const queued = signalled.call('add', 'never');
    controller.abort();
    expect((await caught(queued)).code).toBe('ABORTED');
    box.touch(gate);
    await runtime.get(running);
    expect(await notes.call('all')).toEqual([]);
  });

  it('streams of actors: sync and async, stopped early', async () => {
    using naps = await make('Naps');
    const seen: unknown[] = [];
    for await (const item of naps.stream('items', 3)) seen.push(item);
    using notes = await make('Notes');
    const [began, ended] = [box.path(), box.path()];
    for await (const item of notes.stream('endless', began, ended)) if (seen.push(item) === 6) break;
    expect(seen).toEqual([0, 1, 2, 0, 1, 2]);
    await notes.kill(); // generators of an actor are not interrupted: only its end ends them
  });
});

describe('a placement group', () => {
  it('is ready when its resources are there, holds who is placed in it, and gives them back', async () => {
    const group = await runtime.placementGroup([{ GPU: 1, CPU: 1 }, { GPU: 2 }], 'PACK', { name: 'pair' });
    await group.ready();
    using model = await runtime
      .actor<Any>('programs.py:Model', { numGpus: 2, schedulingStrategy: { placementGroup: group, bundleIndex: 1 } })
      .create();
    expect(((await model.call('seen')) as unknown[][])[0]).toHaveLength(2);
    const found = await runtime.findPlacementGroup('pair');
    expect([found.id, found.bundles.length]).toEqual([group.id, 2]);
    const large = await runtime.placementGroup([{ GPU: 6 }]);
    const stop = AbortSignal.timeout(30);
    expect(await caught(large.ready({ signal: stop }))).toBe(stop.reason);
    const waits = large.ready();
    await found.remove();
    await waits;
    expect(await caught(model.call('seen'))).toMatchObject({ code: 'ACTOR_DIED' });
    expect((await caught(runtime.findPlacementGroup('pair'))).code).toBe('GROUP_NOT_FOUND');
    await group[Symbol.asyncDispose](); // somebody else was first
    await large[Symbol.asyncDispose]();
    expect((await caught(large.ready())).code).toMatch(/^GROUP_(NOT_FOUND|REMOVED)$/);
    expect(() => make('Notes', { schedulingStrategy: { placementGroup: group, bundleIndex: 2 } })).toThrow(
      'bundleIndex',
    );
  });
});
