/** Whether the four applications of a server answer. */
import { setTimeout as sleep } from 'node:timers/promises';
import { MODEL } from './config.mjs';
import { HEADERS } from './headers.mjs';

/** Seldom enough to take nothing from a server that starts. */
const INTERVAL_MS = 100;
const POST = { method: 'POST', body: '{}' };
/** What each is asked, in the order in which the peer starts them. A processor that has to be made of nothing is refused, by the application. */
const QUESTIONS = {
  server: ['healthz', {}],
  model: [`model/${MODEL}/twinkle/create`, POST],
  sampler: [`sampler/${MODEL}/twinkle/create`, POST],
  processor: ['processor/twinkle/create', POST],
};

async function answers(url, name, signal) {
  const [path, options] = QUESTIONS[name];
  try {
    const answer = await fetch(`${url}/api/v1/${path}`, { headers: HEADERS, signal, ...options });
    await answer.arrayBuffer();
    return answer.status < 500 && answer.status !== 404;
  } catch {
    return false; // nobody listens yet, or it took too long
  }
}

/**
 * Resolves when the applications answer, with the names of those of `optional` that do not.
 * @param {AbortSignal} signal throws its reason
 */
export async function allAnswer(url, signal, optional = []) {
  for (const name of Object.keys(QUESTIONS)) {
    if (optional.includes(name)) continue;
    while (!(await answers(url, name, signal))) await sleep(INTERVAL_MS, undefined, { signal });
  }
  const states = await Promise.all(optional.map((name) => answers(url, name, signal)));
  return optional.filter((_, at) => !states[at]);
}
