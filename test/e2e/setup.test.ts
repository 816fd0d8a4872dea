import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { PACKAGE_ROOT } from '../../src/config/package-root.js';
import { runCli } from '../support/cli.js';
import { pythonFor } from '../support/pythons.js';

const run = promisify(execFile);

it('makes an environment from a folder of wheels, finds it again, and refuses a folder that lacks one', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'twinkle-setup-'));
  try {
    const wheels = join(folder, 'wheels');
    const list = join(PACKAGE_ROOT, 'python-workers', 'requirements', 'mock.txt');
    await run(await pythonFor('mock'), ['-m', 'pip', 'download', '-q', '--no-deps', '-d', wheels, '-r', list]);
    // No index is reachable: what is not in the folder cannot be had.
    const env = { TWINKLE_CACHE: join(folder, 'cache'), PIP_NO_INDEX: '1' };
    const setup = () => runCli(['setup', '--engine', 'mock', '--wheelhouse', wheels, '--json'], env);
    const made = await setup();
    expect(made.code, made.stderr).toBe(0);
    const facts = JSON.parse(made.stdout) as { engine: string; python: string; versions: Record<string, string> };
    expect(facts).toMatchObject({
      engine: 'mock',
      versions: { pyzmq: expect.any(String), msgspec: expect.any(String) },
    });
    await run(facts.python, ['-c', 'import zmq, msgspec']);
    const again = await setup();
    expect(JSON.parse(again.stdout)).toEqual(facts);
    expect(again.stderr).toBe('');
    for (const name of readdirSync(wheels)) if (name.startsWith('pyzmq')) rmSync(join(wheels, name));
    const refused = await runCli(['setup', '--engine', 'mock', '--wheelhouse', wheels, '--force', '--json'], env);
    expect(refused.code).toBe(1);
    expect(JSON.parse(refused.stdout)).toMatchObject({
      event: 'error',
      code: 'SETUP_FAILED',
      message: expect.stringMatching(/pyzmq==.*put the missing wheels into/s),
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
