/** Bad luck: programs and heads that are killed, a store that is full. Nothing may be left, and nobody may wait for ever. */
import { mkdtempSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createRuntime, type ObjectRef } from '../../src/index.js';
import { processesWithEnv } from '../../src/supervisor/proc.js';
import { isAlive, killProcess } from '../support/gang-kit.js';
import { eventually, WorkBox } from '../support/work-box.js';

const caught = (promise: Promise<unknown>): Promise<Error & { code?: string }> =>
  promise.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: Error) => error,
  );

/** A program that has an actor and an object, says the actor's process, and waits for calls that do not end. */
const waits = (address: string) => `
const { createRuntime } = await import(process.env.TWINKLE_DIST);
const runtime = await createRuntime({ address: '${address}' });
const notes = await runtime.actor('behaviour.py:Notes', { maxRestarts: -1 }).create();
const kept = await runtime.put(new Float64Array(1_000_000));
const [began, never] = [process.env.BEGAN, '/nowhere/at/all'];
const running = [notes.call('until', never), runtime.task('behaviour.py:until', { maxRetries: -1 }).call(never, kept, began)];
const queued = Array.from({ length: 100 }, () => notes.call('size_of', kept));
const { existsSync } = await import('node:fs');
while (!existsSync(began)) await new Promise((resolve) => setTimeout(resolve, 5));
console.log(JSON.stringify('waits'));
await Promise.all([...running, ...queued]);
`;

describe('a program that is killed while it waits', () => {
  it('takes its own head along; its folder goes when the next one starts, and nobody else’s', async () => {
    await using box = await WorkBox.open();
    const temporary = mkdtempSync(join(box.home, 'tmp-'));
    const start = (began: string) =>
      box.start('node', waits('local'), { TMPDIR: temporary, BEGAN: began, PROGRAM: box.mark });
    const paths = [box.path(), box.path()] as const;
    const [killed, lives] = [start(paths[0]), start(paths[1])];
    expect([await killed.said(), await lives.said()]).toEqual(['waits', 'waits']);
    expect(readdirSync(temporary).sort()).toHaveLength(2);
    const worker = await box.begun(paths[0]);
    await killed.kill();
    await eventually(() => !isAlive(worker));
    const before = process.env.TMPDIR;
    process.env.TMPDIR = temporary;
    try {
      const { env, python } = box;
      const next = await createRuntime({ address: 'local', env, python });
      expect(readdirSync(temporary).filter((name) => name.includes(`-${killed.pid}-`))).toEqual([]);
      expect(readdirSync(temporary)).toHaveLength(2); // its own, and that of who lives
      expect(isAlive(await box.begun(paths[1]))).toBe(true);
      await next[Symbol.asyncDispose]();
    } finally {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
    }
    expect(readdirSync(temporary).every((name) => name.includes(`-${lives.pid}-`))).toBe(true);
    await lives.kill();
    await eventually(() => processesWithEnv('PROGRAM', box.mark).length === 0);
  });

  it('leaves nothing with a head that runs', async () => {
    await using box = await WorkBox.withHead();
    const began = box.path();
    const program = box.start('node', waits('auto'), { BEGAN: began });
    expect(await program.said()).toBe('waits');
    const { actors, drivers, store } = await box.work();
    expect([actors, drivers, store.usedBytes > 8_000_000]).toEqual([1, 1, true]);
    const worker = await box.begun(began);
    await program.kill();
    await eventually(() => !isAlive(worker));
    await eventually(async () => {
      const now = await box.work();
      return now.actors + now.drivers + now.leases + now.store.usedBytes + now.store.objects === 0;
    });
    const runtime = await box.join(); // the head goes on
    expect(await runtime.task('behaviour.py:add').call(1, 2)).toBe(3);
    await runtime[Symbol.asyncDispose]();
  });
});

it('a head that is killed: whoever waits for anything is told HEAD_UNREACHABLE, and can leave', async () => {
  await using box = await WorkBox.withHead();
  const runtime = await box.join();
  const [never, began, endless] = [box.path(), box.path(), box.path()];
  const notes = await runtime.actor('behaviour.py:Notes').create();
  const borrowed = (await runtime.task('behaviour.py:put_all').call(new Uint8Array(1_000_000))) as { first: ObjectRef };
  const task = runtime.task('behaviour.py:until').remote(never, 0, began);
  const stream = runtime.task('behaviour.py:endless').stream(endless, box.path());
  await box.begun(endless);
  await stream.next();
  const taken = (async () => {
    for await (const _ of stream);
  })();
  const group = await runtime.placementGroup([{ GPU: 7 }]);
  const pending = {
    running: notes.call('until', never),
    queued: notes.call('all'),
    task: runtime.get(task),
    stream: taken,
    chained: runtime.task('behaviour.py:add').call(task, 1),
    waiting: runtime.wait([task]).then(async ({ ready }) => await runtime.get(ready)),
    group: group.ready(),
    large: runtime
      .task('behaviour.py:first_of')
      .call([task, new Float64Array(1_000_000)])
      .then(async () => await runtime.get(task)),
    nowhere: runtime.task('behaviour.py:pid', { numGpus: 6, numCpus: 8 }).call(),
  };
  const failed = Object.entries(pending).map(async ([name, one]) => [name, (await caught(one)).code]);
  const worker = await box.begun(began);
  killProcess(box.head, 'SIGKILL');
  expect(Object.fromEntries(await Promise.all(failed))).toEqual(
    Object.fromEntries(Object.keys(pending).map((name) => [name, 'HEAD_UNREACHABLE'])),
  );
  expect(runtime.connected).toBe(false);
  const later = [
    caught(runtime.put(new Float64Array(100_000))),
    caught(notes.call('all')),
    caught(runtime.task('behaviour.py:pid').call()),
    caught(runtime.get(borrowed.first)),
    caught(runtime.snapshot()),
    caught(runtime.getActor('x')),
  ];
  expect((await Promise.all(later)).map(({ code }) => code)).toEqual(Array(6).fill('HEAD_UNREACHABLE'));
  await group[Symbol.asyncDispose]();
  notes[Symbol.dispose]();
  await runtime[Symbol.asyncDispose]();
  await eventually(() => !isAlive(worker) && box.processes().length === 0);
  expect((await caught(box.join())).code).toBe('HEAD_UNREACHABLE');
  // The next start tidies what the killed one left.
  const next = await box.join({ address: 'local', numCpus: 1 });
  expect(await next.task('behaviour.py:add').call(1, 1)).toBe(2);
  await next[Symbol.asyncDispose]();
});

it('a store that is full: too large a value is refused, others wait for room or go to disk, and all is given back', async () => {
  await using box = await WorkBox.open({ objectStoreMemory: 16 * 1024 * 1024 });
  const { runtime } = box;
  const refs = await Promise.all(Array.from({ length: 8 }, (_, at) => runtime.put(new Float64Array(500_000).fill(at))));
  const total = runtime.task('behaviour.py:total');
  expect(await Promise.all(refs.map((ref) => total.call(ref)))).toEqual(refs.map((_, at) => at * 500_000));
  expect((await box.work()).store.usedBytes).toBeLessThanOrEqual(16 * 1024 * 1024);
  const large = await caught(runtime.put(new Float64Array(5_000_000)));
  expect(large.code).toBe('SHM_FULL');
  const made = await caught(runtime.task('behaviour.py:zeros').call(10_000_000));
  expect(made.code).toBe('SHM_FULL');
  const given = await caught(total.call(new Float64Array(5_000_000)));
  expect(given.code).toBe('SHM_FULL');
  for (const ref of refs) ref[Symbol.dispose]();
  await eventually(async () => (await box.work()).store.objects === 0);
  using again = await runtime.put(new Float64Array(1_500_000));
  expect(await total.call(again)).toBe(0);
});
