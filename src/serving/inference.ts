/** All served models behind one door: names to models, and the state of the whole. */
import type { TwinkleError } from '../errors.js';
import type {
  DetokenizeParams,
  DetokenizeResult,
  GenerateParams,
  HttpParams,
  ModelCard,
  TokenizeParams,
  TokenizeResult,
} from '../protocol/values.js';
import type { ModelService } from './model-service.js';
import { resolveModelName } from './resolve-name.js';
import type { Caller, Generation, HttpSink, Inference, ServedModel, TokenSink } from './types.js';

export class ModelDirectory implements Inference {
  #accepting = true;

  constructor(readonly services: readonly ModelService[]) {}

  get accepting(): boolean {
    return this.#accepting;
  }

  models(): readonly ServedModel[] {
    return this.services.map((service) => service.describe());
  }

  find(name: string | null): ServedModel {
    return this.#service(name).describe();
  }

  generate(model: string | null, params: GenerateParams, sink: TokenSink, caller: Caller): Generation {
    return this.#service(model).generate(params, sink, caller);
  }

  async loaded(model: string | null): Promise<ModelCard> {
    return await this.#service(model).loaded();
  }

  relay(model: string | null, params: HttpParams, sink: HttpSink, caller: Caller, width?: number): Generation {
    return this.#service(model).relay(params, sink, caller, width);
  }

  modelOfResponse(id: string): string | null {
    return this.services.find((service) => service.hasResponse(id))?.names[0] ?? null;
  }

  async tokenize(model: string | null, params: TokenizeParams): Promise<TokenizeResult> {
    return await this.#service(model).call('tokenize', params);
  }

  async detokenize(model: string | null, params: DetokenizeParams): Promise<DetokenizeResult> {
    return await this.#service(model).call('detokenize', params);
  }

  /** Refuse new work; resolves when nothing runs any more. */
  async drain(): Promise<void> {
    this.#accepting = false;
    await Promise.all(this.services.map((service) => service.drain()));
  }

  /** End what runs. */
  cut(error: TwinkleError): void {
    this.#accepting = false;
    for (const service of this.services) service.cut(error);
  }

  #service(name: string | null): ModelService {
    return resolveModelName(name, this.services).model;
  }
}
