/** Replicas that sleep while their model is trained: real ranks (engine mock), which end when anything is computed in an engine that sleeps. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createServer, type Server } from '../../src/runtime/embed.js';
import type { HeadStatus } from '../../src/runtime/types.js';
import { killProcess } from '../support/gang-kit.js';
import { forwardBackward, wirePost } from '../support/tinker-wire.js';

const PATIENCE = { timeout: 10_000 };
let home: string;
let server: Server;
/** Phases of the turns, as they come. */
const phases: string[] = [];
/** Told of each. */
let entered: (phase: string) => void = () => {};

const logger = {
  debug(fields: object, event: string) {
    if (event !== 'device_turn') return;
    const { phase } = fields as { phase: string };
    phases.push(phase);
    entered(phase);
  },
  info() {},
  warn() {},
  error() {},
};

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'twinkle-turns-'));
  server = await createServer({
    ...{ model: 'm', engine: 'mock', home, port: 0, logger },
    ...{ gpus: '0,1', dataParallelSize: 2, sleepWhileTraining: true, crashLoopLimit: 100 },
    engineArgs: { sleep_ms: 20, step_ms: 2 },
    env: { ...process.env, TWINKLE_FAKE_DEVICES: 'gpu:2' },
  });
});
afterAll(async () => {
  await server?.close();
  rmSync(home, { recursive: true, force: true });
});
afterEach(() => {
  entered = () => {};
});

const post = async (path: string, body: object): Promise<Record<string, string>> => {
  const { status, text } = await wirePost(server.url ?? '', path, body);
  expect([path, status, text]).toEqual([path, 200, text]);
  return JSON.parse(text) as Record<string, string>;
};

async function answerOf(requestId: string | undefined): Promise<string> {
  for (;;) {
    const { status, text } = await wirePost(server.url ?? '', 'retrieve_future', { request_id: requestId });
    if (status !== 408) return text;
  }
}

const lora_config = { rank: 8, seed: 1, train_unembed: true, train_mlp: true, train_attn: true };
let runs = 0;

/** A new run, with a pass of it on its way. */
async function train(): Promise<{ run: string; made: Promise<string>; passed: Promise<string> }> {
  const { session_id: session = '' } = await post('create_session', {});
  const model = { session_id: session, model_seq_id: runs++, base_model: 'm', lora_config };
  const { model_id: run = '', request_id } = await post('create_model', model);
  const { text } = await wirePost(server.url ?? '', 'forward_backward', forwardBackward(run, 1));
  const { request_id: pass } = JSON.parse(text) as Record<string, string>;
  return { run, made: answerOf(request_id), passed: answerOf(pass) };
}

async function generate(maxTokens = 4): Promise<number> {
  let count = 0;
  for await (const piece of server.generate({ prompt: 'go', maxTokens })) count += piece.token_ids.length;
  return count;
}

/** Resolves when a phase begins. */
function next(phase: string): Promise<void> {
  return new Promise((resolve) => {
    entered = (now) => {
      if (now === phase) resolve();
    };
  });
}

const status = (): HeadStatus => server.status();
const replicas = () => status().models[0]?.replicas ?? [];
const isSleeping = async (): Promise<unknown> => await (await fetch(`${server.url}/is_sleeping`)).json();

/** Resolves when all are up, and replicas are awake. */
async function settled(): Promise<void> {
  await generate(); // nobody waits for a quiet while
  const states = (): unknown[] => [
    status().models[0]?.turn?.holder,
    ...replicas().map(({ state }) => state),
    status().training?.[0]?.state,
  ];
  await expect.poll(states, PATIENCE).toEqual(['sampling', 'ready', 'ready', 'ready']);
}

describe('with --sleep-while-training', () => {
  it('replicas sleep while a run is made and trained, and wake for who samples', async () => {
    phases.length = 0;
    const training = next('training');
    const { passed } = await train();
    await training;
    expect(await isSleeping()).toEqual({ is_sleeping: true });
    expect(status().models[0]?.turn?.holder).toBe('training');
    const sampled = generate(); // waits in this server, and is not refused
    await expect.poll(() => status().models[0]?.turn?.waiting.sampling, PATIENCE).toBe(1);
    expect(replicas().map(({ inFlight }) => inFlight)).toEqual([0, 0]);
    const headers = { 'content-type': 'application/json' };
    const tokenized = fetch(`${server.url}/tokenize`, { method: 'POST', headers, body: '{"prompt":"go"}' });
    expect(await passed).not.toContain('error');
    expect(
      status().devices?.map(({ replicas: { length }, training: { length: trains }, turn }) => [length, trains, turn]),
    ).toEqual([
      [1, 1, expect.any(String)],
      [1, 1, expect.any(String)],
    ]);
    expect([await sampled, (await tokenized).status]).toEqual([4, 200]);
    expect(await isSleeping()).toEqual({ is_sleeping: false });
    const turn = ['closing', 'falling-asleep', 'training', 'ending', 'waking', 'sampling'];
    // Once for the ranks that were loaded, once for the pass: or both in one turn.
    expect([turn, [...turn, ...turn]]).toContainEqual(phases);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toContain('twinkle_device_turn{model="m",holder="sampling"} 1');
  });

  it('requests that run end first, and weights are handed over to engines that are awake', async () => {
    const long = generate(200); // 0.4 s
    const { made, passed, run } = await train();
    const save = await post('save_weights_for_sampler', { model_id: run, seq_id: 2, sampling_session_seq_id: 0 });
    expect(await long).toBe(200);
    expect(JSON.parse(await made)).toMatchObject({ model_id: run });
    const text = await answerOf(save.request_id);
    // Not when the ranks that train had written them.
    expect(status().models[0]?.turn?.holder).toBe('sampling');
    expect(await passed).not.toContain('error');
    const { sampling_session_id } = JSON.parse(text) as Record<string, string>;
    const prompt = { chunks: [{ type: 'encoded_text', tokens: [1, 2, 3] }] };
    const asked = { sampling_session_id, seq_id: 1, num_samples: 1, prompt, sampling_params: { max_tokens: 3 } };
    const { request_id } = await post('asample', asked);
    expect(await answerOf(request_id)).not.toContain('error');
  });

  it('the operator’s orders hold through turns', async () => {
    const operate = async (path: string, method = 'POST'): Promise<unknown> => {
      const answer = await fetch(`${server.url}${path}`, { method });
      expect([path, answer.status]).toEqual([path, 200]);
      return await answer.json();
    };
    const { passed } = await train();
    await next('training');
    // It waits until replicas are awake, and they sleep on by it.
    await operate('/sleep?level=1');
    expect(await passed).not.toContain('error');
    expect(status().models[0]?.held).toBe('sleeping');
    const sampled = generate();
    const again = await train();
    expect(await again.passed).not.toContain('error');
    expect(await isSleeping()).toEqual({ is_sleeping: true });
    await operate('/wake_up');
    expect(await sampled).toBe(4);
    await operate('/pause');
    const paused = generate(1_000); // 2 s: until they are told again, they go on
    const last = await train();
    expect(await last.passed).not.toContain('error');
    // Replicas that have slept and woken would run again, if they were not told.
    await expect.poll(() => status().models[0]?.turn?.holder, PATIENCE).toBe('sampling');
    await expect.poll(() => replicas().map(({ inFlight }) => inFlight), PATIENCE).toContain(1);
    const early = await Promise.race([paused, new Promise((resolve) => setTimeout(resolve, 300, 'paused'))]);
    expect(early).toBe('paused');
    await operate('/resume');
    expect(await paused).toBe(1_000);
  });
});

describe('kill -9', () => {
  beforeAll(async () => {
    await (await train()).passed;
  });

  const PHASES = ['closing', 'falling-asleep', 'training', 'ending', 'waking'];
  it.each(
    PHASES.flatMap(
      (phase) =>
        [
          [phase, 'replica'],
          [phase, 'training rank'],
        ] as const,
    ),
  )(
    'while %s: a %s comes back, and all are served',
    async (phase, victim) => {
      await settled();
      let killed = false;
      entered = (now) => {
        if (now !== phase || killed) return;
        const pid = victim === 'replica' ? replicas()[0]?.ranks[0]?.pid : status().training?.[0]?.pids[0];
        killed = true;
        killProcess(pid, 'SIGKILL');
      };
      const sampled = generate();
      const { made, passed } = await train();
      const samples = [sampled, generate(), generate()];
      expect(await made).not.toContain('error'); // by the ranks that follow, if need be
      await passed; // lost with its rank, or not
      for (const sample of samples) expect(await sample).toBe(4);
      await expect.poll(() => killed, PATIENCE).toBe(true);
      await settled();
      const again = await train();
      const last = generate();
      expect(await again.passed).not.toContain('error');
      expect(await last).toBe(4);
    },
    30_000,
  );
});
