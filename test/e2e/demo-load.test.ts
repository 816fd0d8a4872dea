/** The built-in model under many clients, clients that leave, and a rank that dies. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CliServer } from '../support/cli.js';
import { killProcess } from '../support/gang-kit.js';
import { EventReader, metric, post, textOf, untilMetric } from '../support/http.js';

let server: CliServer;
let chatUrl: string;
let coldStartMs: number;
beforeAll(async () => {
  const from = performance.now();
  server = await CliServer.ready(['--cpu', '--max-num-seqs', '16']);
  coldStartMs = performance.now() - from;
  chatUrl = `${server.url}/v1/chat/completions`;
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const ask = (content: string, options: object = {}) => ({
  messages: [{ role: 'user', content }],
  temperature: 0,
  ...options,
});
/** Runs on until it is stopped. */
const ENDLESS = ask('Tell me a story about a fox.', { ignore_eos: true, max_tokens: 1900 });

const QUESTIONS = [
  'Tell me a story about a fox.',
  'What is the capital of Japan?',
  'Who are you?',
  'Which sound does a cow make?',
  'Tell me a story about an owl.',
  'What is the opposite of big?',
  'What is four times six?',
  'Hello!',
];

it('gives 16 streams at once the texts that each gets alone', async () => {
  /** Steps of the engine, when it has told of at least so many and is idle: it tells some time later than it answers. */
  const stepsFrom = async (least: number): Promise<number> => {
    const late = performance.now() + 30_000;
    for (;;) {
      const running = await metric(server.url, 'twinkle_engine_running');
      const steps = (await metric(server.url, 'twinkle_engine_steps')) ?? 0;
      if (steps >= least && running === 0) return steps;
      if (performance.now() > late)
        throw new Error(`${steps} steps, ${running} running, after 30 s; expected ${least}`);
    }
  };
  const alone = new Map<string, string>();
  const tokens: number[] = [];
  for (const question of QUESTIONS) {
    const { choices, usage } = (await post(chatUrl, ask(question))).json;
    alone.set(question, choices[0].message.content);
    tokens.push(usage.completion_tokens);
  }
  // A token takes a step, the last may have been seen without one.
  const apart = await stepsFrom(tokens.reduce((sum, count) => sum + count - 1, 0));
  const asked = [...QUESTIONS, ...QUESTIONS];
  const streams = await Promise.all(asked.map((question) => EventReader.open(chatUrl, ask(question))));
  const texts = await Promise.all(streams.map(async ({ all }) => textOf(await all)));
  expect(texts).toEqual(asked.map((question) => alone.get(question)));
  // Together they took fewer steps than one after another: how many fewer is a matter of when each came.
  const together = (await stepsFrom(apart + Math.max(...tokens) - 1)) - apart;
  expect(together).toBeLessThan(0.9 * 2 * apart);
});

it('frees the slots of clients that have gone, also of those that still wait for their answer at once', async () => {
  const streams = await Promise.all(Array.from({ length: 4 }, () => EventReader.open(chatUrl, ENDLESS)));
  await Promise.all(streams.map((stream) => stream.until(3)));
  const waiting = new AbortController();
  const whole = fetch(chatUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(ENDLESS),
    signal: waiting.signal,
  });
  await untilMetric(server.url, 'twinkle_engine_running', 5);
  for (const { controller } of streams) controller.abort();
  waiting.abort();
  await expect(whole).rejects.toThrow();
  await untilMetric(server.url, 'twinkle_engine_running', 0);
  expect(await metric(server.url, 'twinkle_replica_in_flight')).toBe(0);
});

it('tells a stream which rank was killed, and serves the next request soon after', async () => {
  const stream = await EventReader.open(chatUrl, ENDLESS);
  await stream.until(5);
  const [rank = 0] = await server.rankPids();
  const from = performance.now();
  killProcess(rank, 'SIGKILL');
  expect(JSON.parse((await stream.all).at(-1) ?? '')).toMatchObject({
    error: { type: 'internal_server_error', code: 'rank_failed', message: expect.stringMatching(/rank 0.*SIGKILL/) },
  });
  // Asked while the rank is down: it waits for the restart.
  const next = await post(chatUrl, ask('What is the capital of France?'));
  const restartMs = performance.now() - from;
  expect(next.json?.choices[0].message.content).toContain('Paris');
  expect(await metric(server.url, 'twinkle_gang_restarts_total')).toBe(1);
  // The libraries are in the template already: far below a cold start, however busy this machine is.
  console.log(`cold start ${Math.round(coldStartMs)} ms, from kill -9 to the next answer ${Math.round(restartMs)} ms`);
  expect(restartMs).toBeLessThan(coldStartMs / 2);
});
