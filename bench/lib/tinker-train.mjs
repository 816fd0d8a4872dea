/** Trains as the Tinker SDK does, in a process of its own: plan and result are those of tinker-client.mjs. Throws when that process fails. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const CLIENT = fileURLToPath(new URL('./tinker-client.mjs', import.meta.url));

export async function train(plan) {
  const child = fork(CLIENT, [JSON.stringify(plan)]);
  const ended = once(child, 'exit').then(([code]) => {
    if (code !== 0) throw new Error(`the client ended with ${code}`);
  });
  const [[result]] = await Promise.all([once(child, 'message'), ended]);
  return result;
}
