/** Starts Ray's side and talks to it. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { talkWith } from '../talking.mjs';

/** @returns its pid, how long the cluster took, and how to get the figures; the process ends with them */
export async function startRay(plan) {
  const env = fileURLToPath(new URL('../../peers/ray/python-env', import.meta.url));
  const python = execFileSync('bash', [env], { encoding: 'utf8' }).trim();
  const ray = talkWith(python, [fileURLToPath(new URL('./peer.py', import.meta.url))]);
  ray.say(JSON.stringify(plan));
  const { startedS } = await ray.line();
  return {
    pid: ray.pid,
    startedMs: startedS * 1000,
    async figures() {
      ray.say('go');
      const figures = await ray.line();
      await ray.ended;
      return figures;
    },
  };
}
