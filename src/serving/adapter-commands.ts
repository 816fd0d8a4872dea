/** vLLM's routes for adapters: what is asked of an engine, and what its refusals mean to whoever asked us. Pure. */
import { TwinkleError } from '../errors.js';
import { nobodyOpen, refusalText } from './broadcast.js';
import type { Command, ReplicaAnswer } from './types/control.js';

const post = (path: string, body: object): Command => ({ method: 'POST', path, query: '', body: JSON.stringify(body) });

/** @param inPlace replace the weights of a loaded one; vLLM refuses a name that it knows otherwise */
export function loadCommand(
  adapter: { readonly name: string; readonly path: string; readonly is3d: boolean | null },
  inPlace: boolean,
): Command {
  return post('/v1/load_lora_adapter', {
    lora_name: adapter.name,
    lora_path: adapter.path,
    ...(inPlace ? { load_inplace: true } : {}),
    ...(adapter.is3d === null ? {} : { is_3d_lora_weight: adapter.is3d }),
  });
}

export function unloadCommand(name: string): Command {
  return post('/v1/unload_lora_adapter', { lora_name: name });
}

/** What all said when all said the same; else who said what. */
function words(refused: readonly ReplicaAnswer[]): string {
  const texts = new Set(refused.map(refusalText));
  if (texts.size === 1) return [...texts].join('');
  return refused.map((answer) => `replica ${answer.replica}: ${refusalText(answer)}`).join('; ');
}

const byReplica = (refused: readonly ReplicaAnswer[]) => ({
  replicas: refused.map((answer) => ({ replica: answer.replica, status: answer.status, message: refusalText(answer) })),
});

/**
 * Why an adapter was not loaded. vLLM answers 500 for a wrong rank or base model, which is no fault of the server: it becomes a 400,
 * as does all else that an engine answers. Without any answer it is the server's.
 */
export function loadRefusal(name: string, refused: readonly ReplicaAnswer[]): TwinkleError {
  const message = `LoRA adapter \`${name}\` was not loaded on any replica: ${words(refused)}`;
  const answered = refused.some(({ status }) => status !== null);
  const missing = answered && refused.every(({ status }) => status === 404);
  const details = { ...byReplica(refused), ...(missing ? { status: 404 } : {}) };
  if (answered) return new TwinkleError('INVALID_REQUEST', message, { param: 'lora_path', details });
  return new TwinkleError(refused[0]?.error?.code ?? 'ENGINE_ERROR', message, { details });
}

/** Why an adapter that requests cannot use any more still lies in some engines. */
export function unloadRefusal(name: string, refused: readonly ReplicaAnswer[]): TwinkleError {
  const message = `LoRA adapter \`${name}\` is refused to requests now, but some replicas did not forget it: ${words(refused)}`;
  return new TwinkleError('ENGINE_ERROR', message, { details: byReplica(refused) });
}

/** Why an adapter that somebody named was not loaded: there is no replica that could have. */
export function nobodyToLoad(name: string): TwinkleError {
  return nobodyOpen(`adapter \`${name}\` cannot be loaded`);
}
