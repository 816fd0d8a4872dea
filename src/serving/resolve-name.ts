/** Which model, and which adapter of it, the `model` of a request means. Pure; knows nothing of how adapters are loaded. */
import { TwinkleError } from '../errors.js';
import { nearest } from '../util/did-you-mean.js';

/** A model as far as names go. */
export interface NamedModel {
  readonly names: readonly string[];
  /** Its LoRA adapters, loaded or to be loaded on first use; absent: it takes none. */
  readonly adapters?: { has(name: string): boolean };
}

/** What a name means. */
export interface ResolvedName<M> {
  readonly model: M;
  /** Null: the base model. */
  readonly adapter: string | null;
}

/**
 * A model's name, an adapter's name, or `model:adapter`, looked for in this order; null and the empty name mean the only model.
 * Throws `MODEL_NOT_FOUND` with what was probably meant.
 */
export function resolveModelName<M extends NamedModel>(name: string | null, models: readonly M[]): ResolvedName<M> {
  const asked = name ?? '';
  const [only] = models;
  if (asked === '' && models.length === 1 && only !== undefined) return { model: only, adapter: null };
  const named = models.find(({ names }) => names.includes(asked));
  if (named !== undefined) return { model: named, adapter: null };
  const owner = models.find(({ adapters }) => adapters?.has(asked) === true);
  if (owner !== undefined) return { model: owner, adapter: asked };
  for (const model of models) {
    for (const own of model.names) {
      const adapter = asked.startsWith(`${own}:`) ? asked.slice(own.length + 1) : '';
      if (adapter !== '' && model.adapters?.has(adapter) === true) return { model, adapter };
    }
  }
  const known = models.flatMap(({ names }) => names);
  const near = nearest(asked, known);
  const hint = near === null ? `served are: ${known.join(', ')}` : `did you mean \`${near}\`?`;
  throw new TwinkleError('MODEL_NOT_FOUND', `The model \`${asked}\` does not exist; ${hint}`, { param: 'model' });
}
