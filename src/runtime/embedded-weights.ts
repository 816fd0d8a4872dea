/** What an embedded server offers beside serving: shared memory for tensors, and weights replaced in place. */
import { TwinkleError } from '../errors.js';
import { loadNative } from '../native/load.js';
import { refusalText, succeeded } from '../serving/broadcast.js';
import type { FleetControl } from '../serving/types/control.js';
import type { UpdateMode, WeightSource } from '../serving/types/weights.js';
import { TensorStore } from '../tensor/tensor-store.js';

export interface UpdateWeightsOptions {
  /** May be left out when only one is served. */
  readonly model?: string;
  /** Default: `wait`. */
  readonly mode?: UpdateMode;
}

/**
 * Replace the weights on every replica.
 * @throws `INVALID_REQUEST` with the engine's words, `NOT_READY`, `ROUTE_NOT_FOUND`, or why a replica gave no answer; `details.replicas`
 *   says what each did. When one took them, they are current: the others are told again.
 */
export async function replaceWeights(
  control: FleetControl,
  source: WeightSource,
  { mode = 'wait', model }: UpdateWeightsOptions,
): Promise<void> {
  const answers = await control.updateWeights(model ?? null, { source, mode });
  const failed = answers.filter((answer) => !succeeded(answer));
  const [first] = failed;
  if (first === undefined) return;
  const taken = failed.length < answers.length;
  const words = failed.map((answer) => `replica ${answer.replica}: ${refusalText(answer)}`).join('; ');
  const code = first.error?.code ?? (first.status !== null && first.status < 500 ? 'INVALID_REQUEST' : 'ENGINE_ERROR');
  throw new TwinkleError(
    taken ? 'ENGINE_ERROR' : code,
    `${taken ? 'some replicas did not take the new weights yet' : 'no replica took the new weights'}: ${words}`,
    { details: { replicas: answers.map((answer) => ({ replica: answer.replica, ok: succeeded(answer) })) } },
  );
}

/** Stores that end with their server. */
export class OwnStores implements Disposable {
  readonly #stores: TensorStore[] = [];

  /** @throws SHM_FULL */
  open(size: number): TensorStore {
    const store = new TensorStore(loadNative(), { name: `tensors-${this.#stores.length}`, size, lock: false });
    this.#stores.push(store);
    return store;
  }

  [Symbol.dispose](): void {
    for (const store of this.#stores.splice(0)) store[Symbol.dispose]();
  }
}
