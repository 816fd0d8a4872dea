/** Runs the Python scripts beside this file with a Python that has Ray (bench/peers/ray/python-env). */
import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { PACKAGE_ROOT } from '../../../src/config/package-root.js';

/** Most characters of stderr that an error repeats. */
const SHOWN = 4000;

/**
 * Run a script. The first call on a machine may take minutes.
 * @param onLine called with each line of its output
 * @throws when it fails, with the end of what it wrote to stderr, or what `onLine` threw
 */
export async function runRayScript(script: string, input: string, onLine: (line: string) => void): Promise<void> {
  const found = await promisify(execFile)('bash', ['bench/peers/ray/python-env'], { cwd: PACKAGE_ROOT });
  const child = spawn(found.stdout.trim(), [new URL(script, import.meta.url).pathname]);
  let [rest, errors] = ['', ''];
  let thrown: unknown = null;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    try {
      lines.forEach(onLine);
    } catch (error) {
      thrown ??= error;
    }
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-SHOWN);
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  child.stdin.end(input);
  const status = await ended;
  if (thrown !== null) throw thrown;
  if (status !== 0) throw new Error(`${script} ended with ${status}: ${errors}`);
}
