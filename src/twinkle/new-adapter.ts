/** Adapters that begin. */
import { Adapter, type AdapterParts } from './adapter.js';
import { type AdapterState, newState, noteOf } from './adapter-state.js';
import { readArguments, whole } from './arguments.js';

const FIELDS = { gradient_accumulation_steps: whole({ min: 1 }, 1) };

/** `gradient_accumulation_steps` of add_adapter_to_model, as it was sent. @throws `INVALID_REQUEST` */
export function readAccumulation(sent: unknown): number {
  const given = sent === undefined || sent === null ? {} : { gradient_accumulation_steps: sent };
  return readArguments('add_adapter_to_model', given, FIELDS).gradient_accumulation_steps;
}

/** A new one, which its run keeps from now on. */
export function newAdapter(
  parts: AdapterParts,
  made: Pick<AdapterState, 'id' | 'model' | 'saveDir' | 'accumulation'>,
): Adapter {
  const state = newState(made, parts.nowMs());
  parts.training.note(parts.tenant, parts.run, noteOf(state));
  return new Adapter(parts, state);
}
