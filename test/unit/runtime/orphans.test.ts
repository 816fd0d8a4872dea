import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { findOrphans } from '../../../src/runtime/orphans.js';

test('a marked process whose instance does not run is an orphan', async () => {
  const child = spawn('sleep', ['600'], { env: { ...process.env, TWINKLE_INSTANCE: 'test-orphan' } });
  await once(child, 'spawn');
  try {
    const found = findOrphans(new Set()).filter(({ instance }) => instance === 'test-orphan');
    expect(found).toEqual([{ pid: child.pid, instance: 'test-orphan', command: 'sleep 600' }]);
    expect(findOrphans(new Set(['test-orphan'])).some(({ pid }) => pid === child.pid)).toBe(false);
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});
