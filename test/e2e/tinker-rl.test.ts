/** The examples of training with the Tinker SDK, in short, side by side on one server: what they are to teach is learned. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PACKAGE_ROOT } from '../../src/config/package-root.js';
import { CliServer } from '../support/cli.js';
import { testPython } from '../support/pythons.js';

interface Row {
  readonly step: number;
  readonly reward: number;
  readonly gap: number;
  readonly exact_match: number;
}

let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'twinkle-examples-'));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** Run an example to its end; its rows. */
async function rowsOf(url: string, name: string, args: readonly string[]): Promise<Row[]> {
  const json = join(home, `${name}.json`);
  const script = join(PACKAGE_ROOT, 'docs', 'examples', `${name}.py`);
  // Nothing to help it: a first user has a server on the loopback, no key and no hub settings.
  const { HF_HUB_OFFLINE: _, TINKER_API_KEY: __, ...env } = process.env;
  await promisify(execFile)(await testPython(), [script, '--base-url', url, '--json', json, ...args], { env });
  return (JSON.parse(readFileSync(json, 'utf8')) as { rows: Row[] }).rows;
}

const mean = (numbers: readonly number[]): number => numbers.reduce((sum, one) => sum + one, 0) / numbers.length;

it('the reward rises while another client fine-tunes, and trainer and sampler agree', async () => {
  await using server = await CliServer.ready(['--cpu'], { TWINKLE_HOME: home });
  const [learned, tuned] = await Promise.all([
    rowsOf(server.url, 'tinker_rl', '--steps 8 --group 6 --learning-rate 4e-3 --loss ppo'.split(' ')),
    rowsOf(
      server.url,
      'tinker_sft',
      '--words 2 --steps 60 --batch 16 --held-out 20 --eval-every 60 --learning-rate 4e-3'.split(' '),
    ),
  ]);
  const rewards = learned.map(({ reward }) => reward);
  // Alone on a server: from 0.31 to 0.90.
  expect(mean(rewards.slice(-3)) - mean(rewards.slice(0, 3))).toBeGreaterThan(0.25);
  // The same weights in both engines, in float32: what is left is the order of sums.
  expect(Math.max(...learned.map(({ gap }) => gap))).toBeLessThan(1e-4);
  expect(tuned.map(({ step, exact_match }) => [step, exact_match > 0.5])).toEqual([
    [0, false],
    [60, true],
  ]);
});
