/** From a rank's kill -9 to an answer again. */
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Kill the first rank of a server and ask at once: the request waits for the restart and is served.
 * @param noticeMs before the request: the server has to notice first, because a request in flight ends with an error, as it should
 * @returns `{ ms }`
 */
export async function restart(server, model, noticeMs) {
  const body = JSON.stringify({ model, prompt: 'The river', max_tokens: 1 });
  const ask = () =>
    fetch(`${server.url}/v1/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  await (await ask()).json();
  const pid = await server.rankPid();
  const begun = performance.now();
  process.kill(pid, 'SIGKILL');
  await sleep(noticeMs);
  const answer = await ask();
  if (answer.status !== 200) throw new Error(await answer.text());
  return { ms: performance.now() - begun };
}
