/** Starts Ray's side and talks to it. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** @returns its pid, how long the cluster took, and how to get the figures; the process ends with them */
export async function startRay(plan) {
  const env = fileURLToPath(new URL('../../peers/ray/python-env', import.meta.url));
  const python = execFileSync('bash', [env], { encoding: 'utf8' }).trim();
  const child = spawn(python, [fileURLToPath(new URL('./peer.py', import.meta.url))], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (text) => {
    errors = (errors + text).slice(-4000);
  });
  const exit = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`Ray's side ended: ${errors}`);
    return JSON.parse(value);
  };
  child.stdin.write(`${JSON.stringify(plan)}\n`);
  const { startedS } = await line();
  return {
    pid: child.pid,
    startedMs: startedS * 1000,
    async figures() {
      child.stdin.write('go\n');
      const figures = await line();
      await exit;
      return figures;
    },
  };
}
