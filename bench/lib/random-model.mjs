/** A model of random weights in a folder of its own, for figures that do not depend on what it says. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../peers/random_model.py', import.meta.url));

/** The built-in model. */
export const DEMO = fileURLToPath(new URL('../../python-workers/demo_model/model', import.meta.url));

/**
 * @param {string} python with torch and transformers
 * @param {'qwen3-0.6b' | 'qwen3-1.7b' | '1m' | '0.5m'} shape
 * @returns `{ folder, parameters, [Symbol.dispose] }`
 */
export function randomModel(python, shape) {
  const folder = mkdtempSync(join(tmpdir(), 'twinkle-random-model-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const env = { ...process.env, HF_HUB_OFFLINE: '1', TRANSFORMERS_OFFLINE: '1' };
    const text = execFileSync(python, [SCRIPT, shape, DEMO, folder], {
      encoding: 'utf8',
      env,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return { folder, parameters: Number(text.split('figures:').at(-1)), [Symbol.dispose]: remove };
  } catch (error) {
    remove();
    throw error;
  }
}
