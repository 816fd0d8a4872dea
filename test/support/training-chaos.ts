/**
 * kill -9 of a server that trains and samples, at random moments, seeded. What it acknowledged must have a definite answer from the servers after
 * it, the same bytes each time, and that answer must be true of what was saved. Used by the short form in e2e and the long one in `npm run test:long`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CliServer } from './cli.js';
import { randomFrom } from './random.js';
import { asample, forwardBackward, wireGet, wirePost } from './tinker-wire.js';

type Kind = 'pass' | 'step' | 'save' | 'sample';

interface Acknowledged {
  readonly id: string;
  readonly kind: Kind;
  /** The same request again. */
  readonly again: () => Promise<string>;
  /** What was answered first. */
  seen: string | null;
  /** Where a save is to be; null: it is none. */
  readonly path: string | null;
  /** A save said that it is there. */
  saved: boolean;
}

export interface TrainingChaosOutcome {
  readonly acknowledged: number;
  /** Answers that were seen before a kill and after it. */
  readonly seenTwice: number;
  /** Requests that a kill cut, by what became of them. */
  readonly lost: number;
  readonly sampledAgain: number;
  /** Saves of which the client had heard nothing before the kill, and that are there. */
  readonly savedBefore: number;
  /** What should not be. */
  readonly wrong: readonly string[];
}

const MODEL = 'mock';
/** Of the engine: samples are under way when the server is killed. */
const STEP_MS = 4;
const SAMPLE_TOKENS = 12;
const ADAM = { learning_rate: 0.001 };

export async function runTrainingChaos(plan: { kills: number; seed: number }): Promise<TrainingChaosOutcome> {
  const home = mkdtempSync(join(tmpdir(), 'twinkle-training-chaos-'));
  const chaos = new Chaos(home, randomFrom(plan.seed));
  try {
    await chaos.begin();
    for (let kill = 0; kill < plan.kills && chaos.wrong.length === 0; kill++) await chaos.round();
    return chaos.outcome();
  } finally {
    await chaos.end();
    rmSync(home, { recursive: true, force: true });
  }
}

class Chaos {
  readonly wrong: string[] = [];
  readonly #acknowledged: Acknowledged[] = [];
  #server: CliServer | null = null;
  #url = '';
  #session = '';
  #sampler = '';
  #run = '';
  #runs = 0;
  #samples = 0;
  #seenTwice = 0;
  #lost = 0;
  #sampledAgain = 0;
  #savedBefore = 0;
  #over = false;

  constructor(
    private readonly home: string,
    private readonly random: () => number,
  ) {}

  async begin(): Promise<void> {
    await this.#start();
    this.#session = (await this.#json('create_session', {})).session_id as string;
    const sampler = { session_id: this.#session, sampling_session_seq_id: 0, base_model: MODEL };
    this.#sampler = (await this.#json('create_sampling_session', sampler)).sampling_session_id as string;
  }

  /** Work, kill, start again, look. */
  async round(): Promise<void> {
    await this.#newRun();
    this.#over = false;
    const workers = [this.#work(this.#train()), this.#work(this.#train()), this.#work(this.#sampling())];
    await new Promise((resolve) => setTimeout(resolve, 20 + this.random() * 200));
    process.kill(this.#server?.pid ?? 0, 'SIGKILL');
    this.#over = true;
    await Promise.all(workers);
    await this.#server?.ended;
    await this.#start();
    await this.#check();
  }

  async end(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
  }

  outcome(): TrainingChaosOutcome {
    const { wrong } = this;
    const recovered = { sampledAgain: this.#sampledAgain, savedBefore: this.#savedBefore };
    const counts = { seenTwice: this.#seenTwice, lost: this.#lost, ...recovered };
    return { acknowledged: this.#acknowledged.length, ...counts, wrong };
  }

  async #start(): Promise<void> {
    const args = [MODEL, '--engine', 'mock', '--step-ms', String(STEP_MS)];
    this.#server = await CliServer.ready(args, { TWINKLE_HOME: this.home });
    this.#url = this.#server.url;
  }

  async #newRun(): Promise<void> {
    const made = await this.#json('create_model', {
      session_id: this.#session,
      model_seq_id: this.#runs++,
      base_model: MODEL,
      lora_config: { rank: 8, seed: 1 },
    });
    this.#run = made.model_id as string;
    this.#seqId = 1;
    await this.#answer(made.request_id as string);
  }

  #seqId = 1;

  /** Two workers share the run's numbers, as chunks do that a client sends at the same time. */
  #train(): () => readonly [Kind, string, object] {
    return () => {
      const run = this.#run;
      const seqId = this.#seqId++;
      if (seqId % 5 === 0) return ['save', 'save_weights', { model_id: run, seq_id: seqId, path: `s${seqId}` }];
      if (seqId % 2 === 0) return ['step', 'optim_step', { model_id: run, seq_id: seqId, adam_params: ADAM }];
      return ['pass', 'forward_backward', forwardBackward(run, seqId)];
    };
  }

  #sampling(): () => readonly [Kind, string, object] {
    return () => ['sample', 'asample', asample(this.#sampler, this.#samples++, SAMPLE_TOKENS)];
  }

  /** Ask until the server is dead; fetch while asking. */
  async #work(next: () => readonly [Kind, string, object]): Promise<void> {
    const fetches: Promise<unknown>[] = [];
    while (!this.#over) {
      const [kind, path, body] = next();
      const again = async (): Promise<string> => (await this.#json(path, body)).request_id as string;
      try {
        const id = await again();
        const to = 'path' in body ? `tinker://${this.#run}/weights/${body.path}` : null;
        const request: Acknowledged = { id, kind, again, seen: null, path: to, saved: false };
        this.#acknowledged.push(request);
        fetches.push(this.#look(request).catch(() => {}));
        if (fetches.length >= 3) await fetches.shift();
      } catch (error) {
        if (!this.#over) this.wrong.push(`${path}: ${String(error)}`);
      }
    }
    await Promise.all(fetches);
  }

  /** @throws when nobody answers */
  async #look(request: Acknowledged): Promise<void> {
    const { id, kind } = request;
    const answer = await this.#answer(id);
    if (request.seen === null) {
      request.seen = answer;
      if (kind === 'save') request.saved = (JSON.parse(bodyOf(answer)) as { path?: string }).path === request.path;
    } else if (request.seen !== answer) this.wrong.push(`${kind} ${id}: ${request.seen} and then ${answer}`);
  }

  /** After a restart. */
  async #check(): Promise<void> {
    const heartbeat = await wirePost(this.#url, 'session_heartbeat', { session_id: this.#session });
    if (heartbeat.status !== 200) this.wrong.push(`heartbeat: ${heartbeat.status} ${heartbeat.text}`);
    for (const request of this.#acknowledged) {
      const { id, kind, seen } = request;
      await this.#look(request);
      if (seen !== null) {
        this.#seenTwice += 1;
        continue;
      }
      const answer = bodyOf(request.seen ?? '');
      const lost = answer.includes('lost its weights') && answer.includes('"category":"server"');
      if (kind === 'sample' && lost) this.wrong.push(`sample ${id}: ${answer}`);
      else if (kind === 'sample') this.#sampledAgain += 1;
      else if (lost) this.#lost += 1;
      else if (request.saved) this.#savedBefore += 1;
    }
    const last = this.#acknowledged.at(-1);
    if (last !== undefined && (await last.again()) !== last.id) this.wrong.push(`${last.kind} ${last.id} ran twice`);
    await this.#checkRun();
    await this.#checkSaves();
  }

  /** Its weights are gone, and whoever goes on with it hears so. */
  async #checkRun(): Promise<void> {
    const run = await wireGet(this.#url, `training_runs/${this.#run}`);
    if (run.corrupted !== true) this.wrong.push(`run ${this.#run}: ${JSON.stringify(run)}`);
    const { request_id } = await this.#json('forward_backward', forwardBackward(this.#run, 100_000));
    const answer = await this.#answer(request_id as string);
    if (!answer.includes('begin anew')) this.wrong.push(`run ${this.#run} goes on: ${answer}`);
  }

  async #checkSaves(): Promise<void> {
    const { checkpoints } = await wireGet(this.#url, 'checkpoints?limit=100000');
    const there = new Set((checkpoints as { tinker_path: string }[]).map(({ tinker_path }) => tinker_path));
    for (const { path, saved } of this.#acknowledged) {
      if (path === null || saved === there.has(path)) continue;
      this.wrong.push(saved ? `${path} is missing` : `${path} is there, and its save was said to be lost`);
    }
  }

  async #json(path: string, body: object): Promise<Record<string, unknown>> {
    const { status, text } = await wirePost(this.#url, path, body);
    if (status !== 200) throw new Error(`${path}: ${status} ${text}`);
    return JSON.parse(text) as Record<string, unknown>;
  }

  /** Type and bytes of what a request came to. */
  async #answer(request_id: string): Promise<string> {
    for (;;) {
      const { status, text, type } = await wirePost(this.#url, 'retrieve_future', { request_id });
      if (status === 408) continue;
      if (status !== 200) this.wrong.push(`${request_id}: ${status} ${text}`);
      return `${type}\n${text}`;
    }
  }
}

const bodyOf = (answer: string): string => answer.slice(answer.indexOf('\n') + 1);
