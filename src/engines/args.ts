/**
 * The arguments that each engine takes, by the engine's own names: one table for flags, YAML and `createServer`.
 * Pure. Values are checked here once; the engine receives them typed. Does not know where a value was written.
 */
import type { EngineName } from '../config/types.js';
import { TwinkleError } from '../errors.js';
import { didYouMean } from '../util/did-you-mean.js';
import { convertArg } from './convert-arg.js';
import { VLLM_ARGS } from './vllm-args.js';

/** One engine argument. */
export interface EngineArgSpec {
  /** `json`: an object or array, as JSON text in a flag. `list`: several values after one flag. */
  readonly kind: 'integer' | 'number' | 'boolean' | 'string' | 'json' | 'list';
  /** Of a list; default string. */
  readonly item?: 'integer' | 'number' | 'string';
  readonly help: string;
  readonly min?: number;
  readonly max?: number;
  readonly choices?: readonly string[];
  /** Other flags, with their dashes: `-cc`. */
  readonly aliases?: readonly string[];
  /** A boolean without a `--no-` form: false is as not written. */
  readonly onlyTrue?: true;
  /** The flag may stand without a value, which is true. */
  readonly bare?: true;
  /** The word None is a value. */
  readonly none?: true;
  /** A whole number may be 8k (×1000) or 8K (×1024). */
  readonly suffixes?: true;
  /** JSON, or any other text. */
  readonly text?: true;
  /** Known and an error: why. */
  readonly refused?: string;
  /** Known, warned about and not passed on: why. */
  readonly ignored?: string;
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
    sleep_ms: {
      kind: 'number',
      min: 0,
      help: 'It can sleep as vLLM can; falling asleep and waking up take so long each',
    },
    load_ms: { kind: 'number', min: 0, help: 'Duration of a load' },
    max_num_seqs: maxNumSeqs,
    routes: { kind: 'string', help: 'Paths of its HTTP application, with commas' },
    fault: { kind: 'string', help: 'Scripted fault: exit:3@load, kill@token:5, hang@load, error@token:3' },
  },
};

/** `--Max-Num-Seqs`, `max-num-seqs` → `max_num_seqs`. */
export function engineArgName(written: string): string {
  return written.replace(/^--/, '').replaceAll('-', '_');
}

/**
 * The argument of that name or alias of any engine: enough to tell a switch from a flag with a value. Null: no engine has it.
 * @param written a name in either case, or a short flag with its dash
 */
export function findEngineArg(written: string): { readonly name: string; readonly spec: EngineArgSpec } | null {
  for (const table of Object.values(ENGINE_ARGS)) {
    const name = nameIn(table, written);
    if (name !== null) return { name, spec: table[name] as EngineArgSpec };
  }
  return null;
}

function nameIn(table: Readonly<Record<string, EngineArgSpec>>, written: string): string | null {
  const name = engineArgName(written);
  if (Object.hasOwn(table, name)) return name;
  const flag = /^-[^-]/.test(written) ? written : `--${name.replaceAll('_', '-')}`;
  return Object.keys(table).find((key) => table[key]?.aliases?.includes(flag)) ?? null;
}

/** Names of all engines' arguments that can be used, in kebab case. */
export function allEngineArgNames(): string[] {
  const names = Object.values(ENGINE_ARGS).flatMap(usable);
  return [...new Set(names)].map((name) => name.replaceAll('_', '-'));
}

function usable(table: Readonly<Record<string, EngineArgSpec>>): string[] {
  return Object.keys(table).filter((name) => table[name]?.refused === undefined);
}

/**
 * Check and convert the arguments of one engine.
 * @param otherNames names that are not engine arguments but may have been meant (flags of `serve`)
 * @param warn told of arguments that are not passed on
 * @returns snake case name → typed value; a later entry of the same name wins
 * @throws `USAGE` for a name that the engine does not take, `CONFIG_INVALID` for a wrong value
 */
export function checkEngineArgs(
  engine: EngineName,
  inputs: readonly EngineArgInput[],
  otherNames: readonly string[] = [],
  warn: (sentence: string) => void = () => {},
): Record<string, unknown> {
  const table = ENGINE_ARGS[engine];
  const result: Record<string, unknown> = {};
  const ignored = new Map<string, string>();
  for (const input of inputs) {
    const name = nameIn(table, input.name);
    if (name === null) throw unknownArg(engine, input, otherNames);
    const spec = table[name] as EngineArgSpec;
    if (spec.refused !== undefined) throw refusedArg(input, spec.refused);
    const value = convertArg(spec, input);
    if (value === undefined) delete result[name];
    else if (spec.ignored === undefined) result[name] = value;
    else ignored.set(name, `\`${input.where}\` is not passed on: ${spec.ignored}`);
  }
  for (const sentence of ignored.values()) warn(sentence);
  return result;
}

function refusedArg(input: EngineArgInput, reason: string): TwinkleError {
  return new TwinkleError('USAGE', `\`${input.where}\` cannot be used here: ${reason}`);
}

function unknownArg(engine: EngineName, input: EngineArgInput, others: readonly string[]): TwinkleError {
  const takers = (Object.keys(ENGINE_ARGS) as EngineName[]).flatMap((taker) => {
    const name = nameIn(ENGINE_ARGS[taker], input.name);
    return name === null ? [] : [{ taker, refused: ENGINE_ARGS[taker][name]?.refused }];
  });
  const refused = takers.length === 1 ? takers[0]?.refused : undefined;
  if (refused !== undefined) return refusedArg(input, refused);
  const [first, ...more] = takers.map(({ taker }) => taker);
  const known = [...usable(ENGINE_ARGS[engine]).map((key) => key.replaceAll('_', '-')), ...others];
  const hint =
    first === undefined
      ? didYouMean(engineArgName(input.name).replaceAll('_', '-'), known)
      : `; engine ${[first, ...more].join(' and ')} ${more.length === 0 ? 'takes' : 'take'} it: say \`--engine ${first}\``;
  return new TwinkleError('USAGE', `unknown argument \`${input.where}\` for engine ${engine}${hint}`);
}
