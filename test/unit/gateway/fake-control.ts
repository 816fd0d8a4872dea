/** A `FleetControl` for gateway tests: answers what a test says, records what it was asked. */
import type { TwinkleError } from '../../../src/errors.js';
import type {
  AdapterRequest,
  Command,
  EnginePages,
  FleetControl,
  ReplicaAnswer,
} from '../../../src/serving/types/control.js';
import type { WeightUpdate } from '../../../src/serving/types/weights.js';

/** An answer of a replica's engine. */
export function answered(replica: string, status: number, body: unknown): ReplicaAnswer {
  return { replica, status, body: typeof body === 'string' ? body : JSON.stringify(body), error: null };
}

/** A replica that gave none. */
export function silent(replica: string, error: TwinkleError): ReplicaAnswer {
  return { replica, status: null, body: '', error };
}

export class FakeControl implements FleetControl {
  readonly asked: unknown[] = [];
  answers: readonly ReplicaAnswer[] = [answered('demo/0', 200, '')];
  pages: EnginePages = { pages: [], missed: [] };
  refusal: TwinkleError | null = null;

  async loadAdapter(model: string | null, request: AdapterRequest): Promise<void> {
    this.#record('load', model, request);
  }

  async unloadAdapter(model: string | null, name: string): Promise<void> {
    this.#record('unload', model, name);
  }

  async operate(model: string | null, command: Command): Promise<readonly ReplicaAnswer[]> {
    this.#record('operate', model, command);
    return this.answers;
  }

  async updateWeights(model: string | null, update: WeightUpdate): Promise<readonly ReplicaAnswer[]> {
    this.#record('update', model, update);
    return this.answers;
  }

  async enginePages(): Promise<EnginePages> {
    return this.pages;
  }

  #record(...what: unknown[]): void {
    this.asked.push(what);
    if (this.refusal !== null) throw this.refusal;
  }
}
