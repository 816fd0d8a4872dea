/** What a client says with a batch: options of the pass, and data for the loss. Pure. */

import { type Field, flag, type Given, ignored, maybe, number, only, readArguments, word } from '../arguments.js';
import type { Task } from '../features.js';
import type { Family } from './wire.js';

/** See the file's header. Data is as it came; null: none did. */
export interface Call {
  /** That logits are divided by. */
  readonly temperature: number;
  /** The base model answers, without the adapter. */
  readonly disableLora: boolean;
  readonly task: Task;
  readonly data: CallData;
}

/** Data for sequences, in the client's forms. */
export interface CallData {
  readonly old: unknown;
  readonly reference: unknown;
  readonly advantages: unknown;
  readonly items: number | null;
}

const anything: Field<unknown> = { expected: 'numbers', absent: { is: null }, parse: (value) => value };

const outputs: Field<unknown> = {
  expected: 'the result of forward_only, an object with `logps`',
  absent: { is: null },
  parse: (value) =>
    typeof value === 'object' && value !== null && Object.hasOwn(value, 'logps')
      ? ((value as Given).logps ?? null)
      : undefined,
};

const options = {
  temperature: number({ above: 0 }, 1),
  disable_lora: flag(false),
  task: word(['causal_lm', 'embedding', 'fused_lm_ce'], 'causal_lm'),
  return_logits: only([false], 'whole rows of logits are never held'),
  router_replay_action: only([], 'experts are chosen anew'),
  router_replay_manual_cleanup: ignored,
  // Of whoever calls.
  adapter_name: ignored,
  gradient_accumulation_steps: ignored,
};

const policy = {
  old_logps: anything,
  ref_logps: anything,
  advantages: anything,
  num_items_in_batch: maybe(number({ above: 0 })),
};
const pairs = {
  ref_outputs: outputs,
  ref_logps: anything,
  ref_chosen_logps: only([], 'send `ref_logps`, of each token'),
  ref_rejected_logps: only([], 'send `ref_logps`, of each token'),
};

const FIELDS: Readonly<Record<Family, Readonly<Record<string, Field<unknown>>>>> = {
  tokens: options,
  policy: { ...options, ...policy },
  pairs: { ...options, ...pairs },
  contrast: options,
};

/**
 * Reads the keyword arguments of forward_backward, or of another that takes inputs. Those that are null are as if they were absent.
 * @param of the loss that is computed; null: none is, so data for any may come
 * @throws `INVALID_REQUEST`
 */
export function readCall(of: { readonly name: string; readonly family: Family } | null, kwargs: Given): Call {
  const given = Object.fromEntries(Object.entries(kwargs).filter(([, value]) => value !== null && value !== undefined));
  const fields = of === null ? { ...options, ...policy, ...pairs } : FIELDS[of.family];
  const read = readArguments(of === null ? 'forward_only' : `a pass with ${of.name}`, given, fields) as Partial<
    Record<string, unknown>
  >;
  return {
    temperature: read.temperature as number,
    disableLora: read.disable_lora as boolean,
    task: read.task === 'embedding' ? 'embedding' : 'causal_lm',
    data: {
      old: read.old_logps ?? null,
      reference: read.ref_logps ?? read.ref_outputs ?? null,
      advantages: read.advantages ?? null,
      items: (read.num_items_in_batch ?? null) as number | null,
    },
  };
}
