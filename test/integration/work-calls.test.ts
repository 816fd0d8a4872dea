/** What is promised of tasks and of calls: tries, cancelling, generators, exceptions, names of code. As Ray documents it, from Node. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ObjectRef, TaskError } from '../../src/index.js';
import type { Runtime } from '../../src/work/runtime.js';
import { isAlive } from '../support/gang-kit.js';
import { eventually, WorkBox } from '../support/work-box.js';

let box: WorkBox;
let runtime: Runtime;
beforeAll(async () => {
  box = await WorkBox.open();
  runtime = box.runtime;
});
afterAll(() => box[Symbol.asyncDispose]());

// biome-ignore lint/suspicious/noExplicitAny: what tasks take and give is what the test is about
const task = (name: string, options = {}) => runtime.task<(...args: any[]) => any>(`behaviour.py:${name}`, options);
const failed = async (promise: Promise<unknown>): Promise<TaskError> => {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Error)) throw new Error('it did not fail');
  return error as TaskError;
};

describe('a task', () => {
  it('whose worker is killed is tried again, so often as maxRetries says', async () => {
    expect(await task('dies', { maxRetries: 2 }).call(box.path(true), 2)).toBe(3);
    const folder = box.path(true);
    const error = await failed(task('dies', { maxRetries: 1 }).call(folder, 9));
    expect(error).toMatchObject({ code: 'WORKER_DIED', details: { task: 'dies', pid: expect.any(Number) } });
    expect(error.message).toMatch(/SIGKILL|signal 9/);
    expect(readdirSync(folder)).toHaveLength(2);
  });

  it('that raises is tried again only with retryExceptions', async () => {
    const once = box.path(true);
    expect((await failed(task('raises').call(once, 1))).remoteMessage).toBe('try 1');
    expect(readdirSync(once)).toHaveLength(1);
    expect(await task('raises', { retryExceptions: true }).call(box.path(true), 2)).toBe(3);
    const error = await failed(task('raises', { retryExceptions: true, maxRetries: 1 }).call(box.path(true), 9));
    expect(error.remoteMessage).toBe('try 2');
  });

  it('finds the variables of its runtimeEnv', async () => {
    const env = { runtimeEnv: { envVars: { GREETING: 'hello' } } };
    expect(await task('variable', env).call('GREETING')).toBe('hello');
    expect(await task('variable').call('GREETING')).toBeNull();
  });

  it('that nothing can ever take says so', async () => {
    const nowhere = { schedulingStrategy: { nodeId: 'f'.repeat(32) } };
    expect((await failed(task('pid', nowhere).call())).code).toBe('TASK_UNSCHEDULABLE');
  });
});

describe('cancelling', () => {
  it('a task that waits for an argument, or for a worker: it never begins', async () => {
    const [gate, began, trace] = [box.path(), box.path(), box.path()];
    const first = task('until', { numGpus: 6 }).remote(gate, 'done', began);
    await box.begun(began);
    const forArgument = task('touch').remote(trace, first);
    const forWorker = task('touch', { numGpus: 6 }).remote(trace);
    for (const ref of [forArgument, forWorker]) {
      runtime.cancel(ref);
      expect((await failed(runtime.get(ref))).code).toBe('ABORTED');
    }
    box.touch(gate);
    expect(await runtime.get(first)).toBe('done');
    expect(await task('until', { numGpus: 6 }).call(gate)).toBe('done');
    expect(readdirSync(box.home)).not.toContain(trace.split('/').at(-1));
  });

  it('a task that runs: it is interrupted, and its worker goes on; by force the worker ends', async () => {
    const began = [box.path(), box.path()];
    const refs = began.map((path) => task('until').remote(box.path(), '', path));
    const [first, second] = [await box.begun(began[0] as string), await box.begun(began[1] as string)];
    runtime.cancel(refs[0] as ObjectRef);
    expect((await failed(runtime.get(refs[0] as ObjectRef))).code).toBe('ABORTED');
    expect(isAlive(first)).toBe(true);
    runtime.cancel(refs[1] as ObjectRef, { force: true });
    expect((await failed(runtime.get(refs[1] as ObjectRef))).code).toBe('ABORTED');
    await eventually(() => !isAlive(second));
    runtime.cancel(refs[0] as ObjectRef); // it is over: nothing happens
  });

  it('by a signal: of a call that runs, and of one before it begins', async () => {
    const [controller, began] = [new AbortController(), box.path()];
    const call = task('until').withOptions({ signal: controller.signal }).call(box.path(), '', began);
    await box.begun(began);
    controller.abort();
    expect((await failed(call)).code).toBe('ABORTED');
    const late = task('pid').withOptions({ signal: controller.signal }).call();
    await expect(late).rejects.toBe(controller.signal.reason);
  });

  it('a generator by stopping early: it is told, and cleans up', async () => {
    const [began, ended] = [box.path(), box.path()];
    const seen: unknown[] = [];
    for await (const item of task('endless').stream(began, ended)) {
      seen.push(item);
      if (seen.length === 5) break;
    }
    expect(seen).toEqual([0, 1, 2, 3, 4]);
    await eventually(() => readdirSync(box.home).includes(ended.split('/').at(-1) as string));
  });
});

describe('a generator', () => {
  it('gives its items as they come, small and large, also as a coroutine', async () => {
    const all = async (items: AsyncIterable<unknown>) => {
      const seen = [];
      for await (const item of items) seen.push(item);
      return seen;
    };
    expect(await all(task('items').stream(4))).toEqual([0, 1, 2, 3]);
    expect(await all(task('async_items').stream(3))).toEqual([0, 1, 2]);
    const large = (await all(task('items').stream(3, 50_000))) as { shape: number[]; data: Float32Array }[];
    expect(large.map(({ shape, data }) => [shape[0], data[0], data[49_999]])).toEqual([
      [50_000, 0, 0],
      [50_000, 1, 1],
      [50_000, 2, 2],
    ]);
  });

  it('that raises does so after what it gave before', async () => {
    const seen: unknown[] = [];
    const error = await failed(
      (async () => {
        for await (const item of task('items_then_error').stream(2)) seen.push(item);
      })(),
    );
    expect(seen).toEqual([0, 1]);
    expect(error).toMatchObject({ code: 'TASK_FAILED', remoteType: 'behaviour.Custom', remoteMessage: 'code 2' });
  });

  it('whose worker is killed goes on where it was: what was given is not given again', async () => {
    const folder = box.path(true);
    const seen: unknown[] = [];
    for await (const item of task('items_dying').stream(folder, 4)) {
      seen.push(item);
      if (seen.length === 2) box.touch(`${folder}.two`);
    }
    expect([seen, readdirSync(folder)]).toEqual([[0, 1, 2, 3], ['tried']]);
  });

  it('is taken with stream(), and only a generator is', async () => {
    expect((await failed(task('items').call(3))).message).toContain('stream()');
    expect(await task('pid').call()).toBeGreaterThan(1);
    const items = task('pid').stream()[Symbol.asyncIterator]();
    expect((await failed(items.next())).code).toBe('TASK_FAILED');
  });
});

describe('an exception', () => {
  it('arrives with its type, its message and the traceback over there', async () => {
    const error = await failed(task('fail_custom').call(7));
    expect(error).toBeInstanceOf(TaskError);
    expect(error).toMatchObject({ code: 'TASK_FAILED', remoteType: 'behaviour.Custom', remoteMessage: 'code 7' });
    expect(error.remoteTraceback).toMatch(/File ".*behaviour\.py", line \d+, in fail_custom\n {4}raise Custom\(code\)/);
    expect(error.message).toContain(error.remoteTraceback.trimEnd());
  });

  it('goes on to whoever is called with it, and Python catches it as what it was', async () => {
    using bad = task('fail').remote('first');
    expect(await failed(task('add').call(bad, 1))).toMatchObject({ remoteType: 'ValueError', remoteMessage: 'first' });
    expect(await failed(task('add').call(task('add').remote(bad, 1), 1))).toMatchObject({ remoteMessage: 'first' });
    const [type, text, isValueError] = await task('caught').call([bad]);
    expect([type, isValueError]).toEqual(['TaskError[ValueError]', true]);
    expect(text).toContain('in fail');
  });

  it('of Node goes on to Python, too', async () => {
    using waits = task('until').remote(box.path());
    runtime.cancel(waits);
    await failed(runtime.get(waits));
    const [, text] = await task('caught').call([waits]);
    expect(text).toMatch(/was cancelled.*ABORTED/s);
  });
});

it('whoever leaves is told of what it waited for, and can call nothing any more', async () => {
  const other = await box.join();
  const [waits, began] = [box.path(), box.path()];
  const call = other.task('behaviour.py:until').call(waits, 1, began);
  const ref = other.task('behaviour.py:until').remote(waits);
  await box.begun(began);
  const codes = Promise.all([failed(call), failed(other.get(ref))].map(async (error) => (await error).code));
  await other[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
  expect(await codes).toEqual(['HEAD_UNREACHABLE', 'HEAD_UNREACHABLE']);
  expect(() => other.task('behaviour.py:pid').remote()).toThrow('closed by this process');
  expect(other.connected).toBe(false);
});

describe('code', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(box.home, 'code-'));
    for (const [name, answer] of [
      ['a', 1],
      ['b', 2],
    ] as const) {
      mkdirSync(join(folder, name));
      const text = `import os\ndef answer():\n    return [${answer}, os.getpid()]\n`;
      writeFileSync(join(folder, name, 'part.py'), text);
    }
    writeFileSync(join(folder, 'broken.py'), 'def broken(:\n    pass\n');
    writeFileSync(join(folder, 'fails.py'), 'import no_such_module_anywhere\ndef work():\n    pass\n');
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('that is not there is a typed error, of a task and of an actor', async () => {
    const of = async (code: string) => await failed(runtime.task(code).call());
    expect((await of('behaviour.py:nope')).message).toMatch(/there is no `nope` in .*behaviour\.py; it has .*\badd\b/);
    expect((await of('nowhere.py:work')).message).toContain(`there is no file`);
    expect(await of('no_such_package.part:work')).toMatchObject({ remoteType: 'ModuleNotFoundError' });
    expect(await of(join(folder, 'fails.py:work'))).toMatchObject({ remoteType: 'ModuleNotFoundError' });
    expect(await of(join(folder, 'broken.py:broken'))).toMatchObject({ remoteType: 'SyntaxError' });
    for (const code of ['behaviour.py:Nope', join(folder, 'broken.py:Broken')]) {
      using actor = await runtime.actor(code).create();
      const error = await failed(actor.call('ask'));
      expect(error.code).toBe('ACTOR_DIED');
      expect(error.message).toMatch(/there is no `Nope`|invalid syntax/);
    }
    expect(() => runtime.task('behaviour.py')).toThrow('expected `file.py:Name`');
  });

  it('of two files of one name in different folders is told apart, in one worker', async () => {
    const answers: unknown[] = [];
    for (const name of ['a', 'b', 'a']) answers.push(await runtime.task(join(folder, name, 'part.py:answer')).call());
    const pid = (answers as number[][])[0]?.[1];
    expect(answers).toEqual([1, 2, 1].map((answer) => [answer, pid]));
  });

  it('may be decorated for Python, nested, or in a module by its name', async () => {
    using tally = await runtime.actor('decorated.py:Tally').create(40);
    expect(await tally.call('more', 2)).toBe(42);
    expect(await runtime.task('decorated.py:twice').call(21)).toBe(42);
    expect(await runtime.task('decorated:twice_twice').call(10)).toBe(40);
    using inner = await runtime.actor('decorated.py:Outer.Inner').create();
    expect(await inner.call('name')).toBe('Outer.Inner');
    expect(await runtime.task('os:getpid').call()).toBeGreaterThan(1);
  });
});
