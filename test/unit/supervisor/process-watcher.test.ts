import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { createFakeNative } from '../../../src/native/fake.js';
import { ProcessWatcher } from '../../../src/supervisor/process-watcher.js';
import { endGroups } from '../../../src/supervisor/teardown.js';

let child: ChildProcess | null = null;
afterEach(() => {
  child?.kill('SIGKILL');
});

/** A host on which no process can be watched: pidfd_open has no descriptor left. */
function exhausted() {
  const native = createFakeNative();
  native.watch = () => {
    throw new TwinkleError('NATIVE', 'pidfd_open: EMFILE');
  };
  return { native, watcher: ProcessWatcher.of(native) };
}

it('waits for a process that cannot be watched', async () => {
  const { watcher } = exhausted();
  child = spawn('sleep', ['600']);
  const pid = child.pid ?? 0;
  const gone = vi.fn();
  const waiting = watcher.gone(pid).then(gone);
  await new Promise((resolve) => setImmediate(resolve));
  expect(gone).not.toHaveBeenCalled();
  child.kill('SIGKILL');
  await waiting;
  await watcher.gone(pid);
});

it('ends what is there without holding the event loop, although nothing can be watched', async () => {
  const { native, watcher } = exhausted();
  const instance = `exhausted-${process.pid}`;
  child = spawn('sleep', ['600'], { env: { ...process.env, TWINKLE_INSTANCE: instance, TWINKLE_GANG: 'm/0' } });
  const exit = once(child, 'exit');
  await endGroups(native, watcher, [], 'm/0', instance);
  expect(await exit).toEqual([null, 'SIGKILL']);
});
