/**
 * Random kills of ranks under load, seeded. Every answer is either whole and right, or a right beginning and an error that names
 * the rank. Used by the short form in e2e and the long one in `npm run test:long`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from '../../src/runtime/embed.js';
import { processesWithEnv } from '../../src/supervisor/proc.js';
import { killProcess } from './gang-kit.js';
import { randomFrom } from './random.js';

export interface ChaosPlan {
  readonly kills: number;
  readonly seed: number;
  readonly workers: number;
}

export interface ChaosOutcome {
  readonly whole: number;
  readonly cut: number;
  /** What should not be: wrong tokens, foreign errors, hangs, processes that stayed. */
  readonly wrong: readonly string[];
}

const PROMPTS = ['river', 'stone', 'cloud', 'light', 'blue'];
const TOKENS = 24;
const PATIENCE_MS = 20_000;

async function stream(url: string, prompt: string): Promise<{ text: string; error: string | null; status: number }> {
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'mock', prompt, max_tokens: TOKENS, stream: true }),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const body = await response.text();
  if (response.status !== 200) return { text: '', error: body, status: response.status };
  let text = '';
  let error: string | null = body.includes('[DONE]') ? null : 'the stream broke off without an error';
  for (const line of body.split('\n')) {
    if (!line.startsWith('data: {')) continue;
    const event = JSON.parse(line.slice(6)) as { error?: unknown; choices?: { text: string }[] };
    if (event.error !== undefined) error = JSON.stringify(event.error);
    text += event.choices?.[0]?.text ?? '';
  }
  return { text, error, status: 200 };
}

/** Run the plan against a fresh server with two replicas of two ranks. */
export async function runChaos(plan: ChaosPlan): Promise<ChaosOutcome> {
  const random = randomFrom(plan.seed);
  const home = mkdtempSync(join(tmpdir(), 'twinkle-chaos-'));
  const server = await createServer({
    model: 'mock',
    engine: 'mock',
    tensorParallelSize: 2,
    dataParallelSize: 2,
    port: 0,
    home,
    crashLoopLimit: plan.kills + 10,
    engineArgs: { step_ms: 4, max_num_seqs: 4 },
  });
  const { instance } = server.status();
  const url = server.url ?? '';
  const wrong: string[] = [];
  let whole = 0;
  let cut = 0;
  let over = false;
  try {
    const right = new Map<string, string>();
    for (const prompt of PROMPTS) right.set(prompt, (await stream(url, prompt)).text);
    const work = async (): Promise<void> => {
      while (!over) {
        const prompt = PROMPTS[Math.floor(random() * PROMPTS.length)] ?? '';
        const expected = right.get(prompt) ?? '';
        const { text, error, status } = await stream(url, prompt).catch((thrown: unknown) => ({
          text: '',
          error: String(thrown),
          status: 0,
        }));
        const named = error !== null && /rank \d/.test(error) && error.includes('rank_failed');
        if (error === null && text === expected) whole += 1;
        else if (named && expected.startsWith(text)) cut += 1;
        else wrong.push(`${status} ${prompt}: ${JSON.stringify(text)} ${error}`);
      }
    };
    const workers = Array.from({ length: plan.workers }, work);
    for (let kill = 0; kill < plan.kills; kill++) {
      const before = whole + cut;
      // A kill every few answers, wherever the gangs are: starting, serving or restarting.
      while (whole + cut < before + 3 && wrong.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      const pids = server
        .status()
        .models.flatMap(({ replicas }) => replicas.flatMap(({ ranks }) => ranks.map(({ pid }) => pid)));
      const victim = pids.filter((pid) => pid !== null)[Math.floor(random() * pids.length)];
      try {
        if (victim !== undefined) killProcess(victim, 'SIGKILL');
      } catch {
        // it died of its gang's teardown meanwhile
      }
    }
    over = true;
    await Promise.all(workers);
  } finally {
    over = true;
    await server.close();
  }
  const left = processesWithEnv('TWINKLE_INSTANCE', instance).filter((pid) => pid !== process.pid);
  if (left.length > 0) wrong.push(`processes that stayed: ${left.join(', ')}`);
  rmSync(home, { recursive: true, force: true });
  return { whole, cut, wrong };
}
