/** Saves that a server before this one finished and had no time to answer. */
import { isNamedKind, type NamedKind, pathText } from './checkpoint-path.js';
import type { Checkpoints } from './checkpoints.js';
import type { Future } from './futures.js';
import { jsonAnswer } from './run-answers.js';
import type { Checkpoint } from './types/checkpoints.js';
import type { FutureResult } from './types.js';

/** The `type` of the answer, as the SDK knows it. */
const TYPES: Readonly<Record<NamedKind, string>> = {
  weights: 'save_weights',
  sampler_weights: 'save_weights_for_sampler',
  external_weights: 'save_weights_external',
};

/** What is answered to who had it saved. */
export function savedAs({ bytes, path }: Pick<Checkpoint, 'bytes' | 'path'>): object {
  return { path: pathText(path), size_bytes: bytes, type: isNamedKind(path.kind) ? TYPES[path.kind] : null };
}

export class FinishedSaves {
  /** Tenant → run and request → what was saved for them. */
  readonly #of = new Map<string, ReadonlyMap<string, Checkpoint>>();

  constructor(private readonly checkpoints: Pick<Checkpoints, 'of'>) {}

  /** The answer of a request, if it is a save that was finished. To be asked once sessions are known again, and before anything is saved. */
  answer(run: string, { id, owner: { tenant } }: Pick<Future, 'id' | 'owner'>): FutureResult | null {
    let known = this.#of.get(tenant);
    if (known === undefined) {
      known = new Map(this.checkpoints.of(tenant).flatMap(forRequest));
      this.#of.set(tenant, known);
    }
    const saved = known.get(keyOf(run, id));
    return saved === undefined ? null : jsonAnswer(savedAs(saved));
  }
}

/** A copy has the request of what it was copied from, and another run. */
const keyOf = (run: string, request: string): string => `${run} ${request}`;

const forRequest = (one: Checkpoint): [string, Checkpoint][] =>
  one.request === undefined ? [] : [[keyOf(one.path.run, one.request), one]];
