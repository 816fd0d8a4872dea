/** What clients may call a base model. Knows nothing of runs and samplers. */
import { asTwinkleError, TwinkleError } from '../errors.js';
import type { Inference, ServedModel } from '../serving/types.js';
import type { TrainerHost } from './trainer.js';

export class BaseModels {
  constructor(
    private readonly inference: Pick<Inference, 'find' | 'models'>,
    private readonly trainers: Pick<TrainerHost, 'folder' | 'trainedOnly'>,
    /** Names that clients may ask for; null: all there are. */
    private readonly supported: readonly string[] | null = null,
  ) {}

  /**
   * The served name of a base model. Its folder will do too: clients load their tokenizer by the name that they gave.
   * @throws `MODEL_NOT_FOUND` with the names that there are
   */
  served(baseModel: string): string {
    const name = this.#served(baseModel);
    if (this.allows(name) || this.allows(baseModel)) return name;
    throw this.#unknown(baseModel);
  }

  /** @param model served name */
  allows(model: string): boolean {
    return this.supported === null || this.supported.includes(model);
  }

  #served(baseModel: string): string {
    const folderOf = ({ card, names }: ServedModel): string => card?.model ?? this.trainers.folder(names[0] ?? '');
    const byFolder = this.inference.models().find((model) => folderOf(model) === baseModel);
    const only = this.#only.find((name) => name === baseModel || this.trainers.folder(name) === baseModel);
    return byFolder?.names[0] ?? only ?? this.#named(baseModel);
  }

  /** Whether it is served, or trained, now. @param model served name */
  has(model: string): boolean {
    return this.#only.includes(model) || this.inference.models().some(({ names }) => names.includes(model));
  }

  /** As {@link served}, of a model that somebody wants to sample from. @throws `UNSUPPORTED_PARAMETER` for one that is trained alone */
  sampled(baseModel: string): string {
    const model = this.served(baseModel);
    if (!this.#only.includes(model)) return model;
    const message = `model \`${model}\` is trained here, and nothing samples from it: serve it, too`;
    throw new TwinkleError('UNSUPPORTED_PARAMETER', message, { param: 'base_model' });
  }

  get #only(): readonly string[] {
    return this.trainers.trainedOnly?.().map(({ name }) => name) ?? [];
  }

  #named(baseModel: string): string {
    try {
      return this.inference.find(baseModel).names[0] ?? baseModel;
    } catch (thrown) {
      const cause = asTwinkleError(thrown);
      if (cause.code !== 'MODEL_NOT_FOUND') throw cause;
      throw this.#unknown(baseModel, cause);
    }
  }

  #unknown(baseModel: string, cause?: TwinkleError): TwinkleError {
    const all = [...this.inference.models().flatMap((model) => model.names), ...this.#only];
    const names = [...new Set(all)].filter((name) => this.allows(name)).map((name) => `\`${name}\``);
    const message = `no model \`${baseModel}\` is served here: expected one of ${names.join(', ')}, or the folder that it was served from`;
    return new TwinkleError('MODEL_NOT_FOUND', message, { param: 'base_model', cause });
  }
}
