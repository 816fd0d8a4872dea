/**
 * The arguments that each engine takes, by the engine's own names: one table for flags, YAML and `createServer`.
 * Pure. Values are checked here once; the engine receives them typed. Does not know where a value was written.
 */
import type { EngineName } from '../config/types.js';
import { TwinkleError } from '../errors.js';
import { didYouMean } from '../util/did-you-mean.js';
import { VLLM_ARGS } from './vllm-args.js';

/** One engine argument. */
export interface EngineArgSpec {
  readonly kind: 'integer' | 'number' | 'boolean' | 'string';
  readonly help: string;
  readonly min?: number;
  readonly max?: number;
  readonly choices?: readonly string[];
}

/** An argument as somebody wrote it. */
export interface EngineArgInput {
  /** Kebab or snake case. */
  readonly name: string;
  /** A string from a flag; any plain value from YAML or code. */
  readonly value: unknown;
  /** How to name it in a message: `--seed`, `serve.yaml:3:1: seed`, `engineArgs.seed`. */
  readonly where: string;
}

const maxNumSeqs: EngineArgSpec = { kind: 'integer', min: 1, help: 'Requests that advance together at most' };

/** Engine → argument (snake case) → what it takes. */
export const ENGINE_ARGS: Readonly<Record<EngineName, Readonly<Record<string, EngineArgSpec>>>> = {
  vllm: VLLM_ARGS,
  transformers: {
    dtype: {
      kind: 'string',
      choices: ['auto', 'float32', 'bfloat16', 'float16'],
      help: 'Type of the weights and the activations',
    },
    device: { kind: 'string', help: 'torch device of the rank: auto, cpu, cuda or cuda:N' },
    max_num_seqs: maxNumSeqs,
    max_num_batched_tokens: { kind: 'integer', min: 1, help: 'Prompt tokens computed in one step' },
    max_logprobs: { kind: 'integer', min: 0, help: 'Alternatives per token that a request may ask for' },
    kv_cache_memory_bytes: { kind: 'integer', min: 1, help: 'Size of the KV cache at most' },
    trust_remote_code: { kind: 'boolean', help: 'Run code that comes with the model' },
    revision: { kind: 'string', help: 'Branch, tag or commit on the hub' },
    chat_template: { kind: 'string', help: 'File or text of a Jinja chat template' },
    seed: { kind: 'integer', min: 0, help: 'Seed of requests that bring none' },
    num_threads: { kind: 'integer', min: 1, help: 'CPU threads of a rank' },
    attn_implementation: {
      kind: 'string',
      choices: ['sdpa', 'eager'],
      help: 'Attention kernel',
    },
    gpu_memory_utilization: { kind: 'number', min: 0.01, max: 1, help: 'Share of the device memory to use' },
  },
  mock: {
    step_ms: { kind: 'number', min: 0, help: 'Duration of one engine step' },
    load_ms: { kind: 'number', min: 0, help: 'Duration of a load' },
    max_num_seqs: maxNumSeqs,
    fault: { kind: 'string', help: 'Scripted fault: exit:3@load, kill@token:5, hang@load, error@token:3' },
  },
};

/** `--Max-Num-Seqs`, `max-num-seqs` → `max_num_seqs`. */
export function engineArgName(written: string): string {
  return written.replace(/^--/, '').replaceAll('-', '_');
}

/** The argument of that name of any engine: enough to tell a switch from a flag with a value. Null: no engine has it. */
export function findEngineArg(written: string): EngineArgSpec | null {
  const name = engineArgName(written);
  for (const table of Object.values(ENGINE_ARGS)) {
    if (Object.hasOwn(table, name)) return table[name] as EngineArgSpec;
  }
  return null;
}

/** Names of all engines' arguments, in kebab case. */
export function allEngineArgNames(): string[] {
  const names = Object.values(ENGINE_ARGS).flatMap((table) => Object.keys(table));
  return [...new Set(names)].map((name) => name.replaceAll('_', '-'));
}

/**
 * Check and convert the arguments of one engine.
 * @param otherNames names that are not engine arguments but may have been meant (flags of `serve`)
 * @returns snake case name → typed value; a later entry of the same name wins
 * @throws `USAGE` for a name that the engine does not take, `CONFIG_INVALID` for a wrong value
 */
export function checkEngineArgs(
  engine: EngineName,
  inputs: readonly EngineArgInput[],
  otherNames: readonly string[] = [],
): Record<string, unknown> {
  const table = ENGINE_ARGS[engine];
  const result: Record<string, unknown> = {};
  for (const input of inputs) {
    const name = engineArgName(input.name);
    if (!Object.hasOwn(table, name)) throw unknownArg(engine, input, name, otherNames);
    result[name] = convert(table[name] as EngineArgSpec, input);
  }
  return result;
}

function unknownArg(engine: EngineName, input: EngineArgInput, name: string, others: readonly string[]): TwinkleError {
  const takers = Object.entries(ENGINE_ARGS).filter(([, table]) => Object.hasOwn(table, name));
  const hint =
    takers.length > 0
      ? `; engine ${takers.map(([taker]) => taker).join(' and ')} takes it`
      : didYouMean(name.replaceAll('_', '-'), [
          ...Object.keys(ENGINE_ARGS[engine]).map((key) => key.replaceAll('_', '-')),
          ...others,
        ]);
  return new TwinkleError('USAGE', `unknown argument \`${input.where}\` for engine ${engine}${hint}`);
}

function convert(spec: EngineArgSpec, input: EngineArgInput): unknown {
  const fail = (expected: string): TwinkleError =>
    new TwinkleError(
      'CONFIG_INVALID',
      `expected ${expected} for \`${input.where}\` but received ${JSON.stringify(input.value)}; ${spec.help.toLowerCase()}`,
    );
  if (spec.kind === 'boolean') {
    if (input.value === true || input.value === 'true') return true;
    if (input.value === false || input.value === 'false') return false;
    throw fail('true or false');
  }
  if (spec.kind === 'string') {
    if (typeof input.value !== 'string' && typeof input.value !== 'number') throw fail('text');
    const text = String(input.value);
    if (text === '') throw fail('text');
    if (spec.choices !== undefined && !spec.choices.includes(text)) {
      throw fail(`one of ${spec.choices.join(', ')}`);
    }
    return text;
  }
  return convertNumber(spec, input.value, fail);
}

function convertNumber(spec: EngineArgSpec, value: unknown, fail: (expected: string) => TwinkleError): number {
  const whole = spec.kind === 'integer';
  const range =
    (spec.min === undefined ? '' : ` of at least ${spec.min}`) +
    (spec.max === undefined ? '' : ` and at most ${spec.max}`);
  const expected = `${whole ? 'a whole number' : 'a number'}${range}`;
  const number =
    typeof value === 'number' ? value : typeof value === 'string' && value.trim() !== '' ? Number(value) : NaN;
  if (!Number.isFinite(number) || (whole && !Number.isSafeInteger(number))) throw fail(expected);
  if ((spec.min !== undefined && number < spec.min) || (spec.max !== undefined && number > spec.max))
    throw fail(expected);
  return number;
}
