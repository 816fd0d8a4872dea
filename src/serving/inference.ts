/** All served models behind one door: names to models, and the state of the whole. */
import { TwinkleError } from '../errors.js';
import type {
  DetokenizeParams,
  DetokenizeResult,
  GenerateParams,
  TokenizeParams,
  TokenizeResult,
} from '../protocol/values.js';
import { nearest } from '../util/did-you-mean.js';
import type { ModelService } from './model-service.js';
import type { Caller, Generation, Inference, ServedModel, TokenSink } from './types.js';

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
    const [only] = this.services;
    if ((name === null || name === '') && this.services.length === 1 && only !== undefined) return only;
    const found = this.services.find(({ names }) => name !== null && names.includes(name));
    if (found !== undefined) return found;
    const known = this.services.flatMap(({ names }) => names);
    const near = nearest(name ?? '', known);
    const hint = near === null ? `served are: ${known.join(', ')}` : `did you mean \`${near}\`?`;
    throw new TwinkleError('MODEL_NOT_FOUND', `The model \`${name ?? ''}\` does not exist; ${hint}`, {
      param: 'model',
    });
  }
}
