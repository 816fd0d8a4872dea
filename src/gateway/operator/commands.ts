/**
 * Operations on a model's engines: their paths and the query parameters that vLLM 0.32 knows. A table; values are vLLM's to judge.
 * While a model sleeps or is paused, in whatever mode, new requests wait, first in the engines and then in this server's queue (429 when
 * that is full), as they wait in vLLM; `mode=abort`, vLLM's default, ends those that run with the finish reason `abort`.
 */
import { TwinkleError } from '../../errors.js';
import type { Command } from '../../serving/types/control.js';
import { didYouMean } from '../../util/did-you-mean.js';

/** One operation. */
export interface Operation {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Query parameters beside `model`. */
  readonly query: readonly string[];
  /** Whether a JSON body is passed on. */
  readonly body: boolean;
  readonly summary: string;
}

const post = (path: string, query: readonly string[], summary: string, body = false): Operation => ({
  method: 'POST',
  path,
  query,
  body,
  summary,
});

/** Every operation. Each goes to all replicas of the model. */
export const OPERATIONS: readonly Operation[] = [
  post(
    '/sleep',
    ['level', 'mode'],
    'Free device memory: level 1 keeps the weights on the host, 2 drops them, 0 only pauses.',
  ),
  post('/wake_up', ['tags'], 'End a sleep; `tags` (weights, kv_cache, scheduling) wakes parts.'),
  { method: 'GET', path: '/is_sleeping', query: [], body: false, summary: 'Whether all replicas sleep.' },
  post(
    '/pause',
    ['mode', 'clear_cache'],
    'Stop generating: abort or keep what runs, or wait for it. New requests wait.',
  ),
  post('/resume', [], 'Generate again.'),
  { method: 'GET', path: '/is_paused', query: [], body: false, summary: 'Whether all replicas are paused.' },
  post('/reset_prefix_cache', ['reset_running_requests', 'reset_external'], 'Forget the KV cache of earlier prompts.'),
  post('/start_profile', [], 'Begin a profile (start with --profiler-config).', true),
  post('/stop_profile', [], 'End the profile and write it.'),
];

/** A query as fastify gives it. */
export type Query = Readonly<Record<string, string | readonly string[] | undefined>>;

/** What a request for an operation asks for. */
export interface Asked {
  /** Null: not said. */
  readonly model: string | null;
  readonly command: Command;
}

/**
 * Query and body of a request → the command for the engines. `model` may be in the query or, as a JSON field, in the body.
 * @throws `UNKNOWN_FIELD` for a parameter that the operation does not have, `INVALID_REQUEST` for a body where none is read
 */
export function commandOf(operation: Operation, query: Query, body: unknown): Asked {
  const known = [...operation.query, 'model'];
  const passed = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (!known.includes(name)) {
      const advice = didYouMean(name.slice(0, 64), known) || '; leave it out';
      throw new TwinkleError(
        'UNKNOWN_FIELD',
        `\`${name.slice(0, 64)}\` is not a parameter of ${operation.path}${advice}`,
        {
          param: name.slice(0, 64),
        },
      );
    }
    if (name === 'model') continue;
    for (const one of value === undefined ? [] : [value].flat()) passed.append(name, one);
  }
  const { model: inBody, ...fields } = bodyFields(operation, body);
  const inQuery = [query.model].flat().at(-1);
  const model = typeof inBody === 'string' ? inBody : (inQuery ?? null);
  const { method, path } = operation;
  const text = operation.body && Object.keys(fields).length > 0 ? JSON.stringify(fields) : '';
  return { model, command: { method, path, query: passed.toString(), body: text } };
}

function bodyFields({ body: taken, path }: Operation, body: unknown): Readonly<Record<string, unknown>> {
  if (body === undefined || body === null) return {};
  if (typeof body === 'object' && !Array.isArray(body)) {
    const fields = body as Readonly<Record<string, unknown>>;
    const others = Object.keys(fields).filter((name) => name !== 'model');
    if (taken || others.length === 0) return fields;
  }
  const where = taken ? 'a JSON object' : 'no body';
  throw new TwinkleError('INVALID_REQUEST', `expected ${where} for ${path}: parameters are in the query, as ?level=1`);
}
