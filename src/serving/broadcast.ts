/** One HTTP request to the engines of many replicas, answered replica by replica: what one does or does not do hides no other. */
import { randomBytes } from 'node:crypto';
import { asTwinkleError, TwinkleError } from '../errors.js';
import type { HttpParams } from '../protocol/values.js';
import type { Channel } from '../transport/channel.js';
import { type AskOptions, askEngine } from './ask-engine.js';
import type { Command, ReplicaAnswer } from './types/control.js';

/** A replica that takes requests. */
export interface OpenReplica {
  readonly id: string;
  /** Number of its start. */
  readonly epoch: number;
  readonly lead: Channel;
}

const PREFIX = randomBytes(6).toString('hex');
let counter = 0;

/** A command as the stream `http` carries it. */
export function commandParams({ method, path, query, body }: Command): HttpParams {
  counter += 1;
  const headers: [string, string][] = [['host', 'localhost']];
  if (body !== '')
    headers.push(['content-type', 'application/json'], ['content-length', String(Buffer.byteLength(body))]);
  return { request_id: `all-${PREFIX}${counter.toString(36)}`, method, path, query, headers, body };
}

/**
 * Send to all at once and collect the answers in the order of `replicas`. Never rejects. All requests leave within this call, so two
 * broadcasts reach every replica in the same order.
 */
export function broadcast(
  replicas: readonly OpenReplica[],
  command: Command,
  options: AskOptions,
): Promise<readonly ReplicaAnswer[]> {
  const params = commandParams(command);
  return Promise.all(
    replicas.map(async ({ id, lead }): Promise<ReplicaAnswer> => {
      try {
        const { status, body } = await askEngine(lead, params, options);
        return { replica: id, status, body, error: null };
      } catch (error) {
        return { replica: id, status: null, body: '', error: asTwinkleError(error) };
      }
    }),
  );
}

/** Why a command reached nobody. @param consequence what cannot be done now */
export function nobodyOpen(consequence: string): TwinkleError {
  const message = `no replica takes requests now, so ${consequence}; try again`;
  return new TwinkleError('NOT_READY', message, { retryAfterMs: 1000 });
}

/** Whether the engine did what it was asked. */
export function succeeded({ status }: Pick<ReplicaAnswer, 'status'>): boolean {
  return status !== null && status >= 200 && status < 300;
}

/** Whether the replica went away under the command: what it had in memory is gone with it, and its next start begins anew. */
export function broke({ error }: Pick<ReplicaAnswer, 'error'>): boolean {
  return error !== null && (error.code === 'RANK_FAILED' || error.code === 'CHANNEL_CLOSED');
}

/** Characters of an engine's text that are passed on. */
const MAX_TEXT = 2000;

/** Why it did not, in the engine's own words: FastAPI's `detail` and vLLM's `error` are looked into. */
export function refusalText({ status, body, error }: ReplicaAnswer): string {
  if (error !== null) return error.message;
  return (messageIn(body) ?? body.trim()).slice(0, MAX_TEXT) || `status ${status}`;
}

function messageIn(body: string): string | null {
  try {
    const document = JSON.parse(body) as { error?: unknown; detail?: unknown; message?: unknown } | null;
    const inner = document?.error ?? document?.detail ?? document?.message;
    const message = (inner as { message?: unknown } | undefined)?.message ?? inner;
    if (typeof message === 'string') return message;
    return message === undefined ? null : JSON.stringify(message);
  } catch {
    return null;
  }
}
