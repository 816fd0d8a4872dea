/**
 * `Inference` where names of adapters are names of models: `adapter` and `model:adapter`, loaded on first use and held while in use.
 * What runs where, and what is queued, is the inner one's business.
 */
import type {
  DetokenizeParams,
  DetokenizeResult,
  GenerateParams,
  HttpParams,
  ModelCard,
  TokenizeParams,
  TokenizeResult,
} from '../protocol/values.js';
import type { ModelAdapters } from './adapters.js';
import { leased, leasedLater } from './leased.js';
import { replaceModel } from './replace-model.js';
import { resolveModelName } from './resolve-name.js';
import type { Held } from './types/control.js';
import type { ServedWeights } from './types/weights.js';
import type { Caller, DeviceTurn, Generation, HttpSink, Inference, ServedModel, Sink, TokenSink } from './types.js';

/** What is known of a model beside its service, in the order of `Inference.models()`. */
export interface AdaptedModel {
  readonly names: readonly string[];
  /** Null: the engine takes none. */
  readonly adapters: ModelAdapters | null;
  readonly held: Held | null;
  readonly weights: ServedWeights | null;
  /** Null or absent: its replicas always have their devices. */
  readonly turn?: DeviceTurn | null;
}

export class AdaptedInference implements Inference {
  constructor(
    readonly inner: Inference,
    readonly controlled: readonly AdaptedModel[],
  ) {}

  get accepting(): boolean {
    return this.inner.accepting;
  }

  models(): readonly ServedModel[] {
    return this.inner.models().map((model) => this.#described(model));
  }

  /** Of an adapter, its model under the name that was asked for. */
  find(name: string | null): ServedModel {
    const { model, adapter } = this.#resolve(name);
    const [own = null] = model.names;
    const found = this.#described(this.inner.find(own));
    return adapter === null ? found : { ...found, names: [name ?? ''], parent: own ?? '' };
  }

  generate(model: string | null, params: GenerateParams, sink: TokenSink, caller: Caller): Generation {
    return this.#use(model, sink, (own, adapter, hears) =>
      this.inner.generate(own, adapter === null ? params : { ...params, adapter }, hears, caller),
    );
  }

  async loaded(model: string | null): Promise<ModelCard> {
    return await this.inner.loaded(this.#own(model));
  }

  relay(model: string | null, params: HttpParams, sink: HttpSink, caller: Caller, width?: number): Generation {
    return this.#use(model, sink, (own, adapter, hears) => {
      // The engine knows an adapter by its own name alone.
      const sent =
        adapter === null || adapter === model ? params : { ...params, body: replaceModel(params.body, adapter) };
      return this.inner.relay(own, sent, hears, caller, width);
    });
  }

  modelOfResponse(id: string): string | null {
    return this.inner.modelOfResponse(id);
  }

  tokenize(model: string | null, params: TokenizeParams): Promise<TokenizeResult> {
    return this.inner.tokenize(this.#own(model), params);
  }

  detokenize(model: string | null, params: DetokenizeParams): Promise<DetokenizeResult> {
    return this.inner.detokenize(this.#own(model), params);
  }

  #use<Item, End>(
    name: string | null,
    sink: Sink<Item, End>,
    begin: (model: string | null, adapter: string | null, sink: Sink<Item, End>) => Generation,
  ): Generation {
    const { model, adapter } = this.#resolve(name);
    const [own = null] = model.names;
    const { adapters } = model;
    if (adapter === null || adapters === null) return begin(own, null, sink);
    const start = (hears: Sink<Item, End>): Generation => begin(own, adapter, hears);
    const lease = adapters.lease(adapter);
    return lease === null ? leasedLater(adapters.use(adapter), sink, start) : leased(lease, sink, start);
  }

  #own(name: string | null): string | null {
    return this.#resolve(name).model.names[0] ?? null;
  }

  #resolve(name: string | null): { readonly model: AdaptedModel; readonly adapter: string | null } {
    const named = this.controlled.map((model) => ({
      names: model.names,
      model,
      ...(model.adapters === null ? {} : { adapters: model.adapters }),
    }));
    const { adapter, model } = resolveModelName(name, named);
    return { model: model.model, adapter };
  }

  #described(model: ServedModel): ServedModel {
    const known = this.controlled.find(({ names }) => names[0] === model.names[0]);
    const adapters = known?.adapters?.list() ?? [];
    const held = known?.held ?? null;
    const weights = known?.weights ?? null;
    const turn = known?.turn ?? null;
    return {
      ...model,
      ...(adapters.length === 0 ? {} : { adapters }),
      ...(held === null ? {} : { held }),
      ...(turn === null ? {} : { turn }),
      ...(weights === null ? {} : { weights }),
    };
  }
}
