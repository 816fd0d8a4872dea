/** What clients may call a base model. Knows nothing of runs and samplers. */
import { asTwinkleError, TwinkleError } from '../errors.js';
import type { Inference, ServedModel } from '../serving/types.js';
import type { TrainerHost } from './trainer.js';

export class BaseModels {
  constructor(
    private readonly inference: Pick<Inference, 'find' | 'models'>,
    private readonly trainers: Pick<TrainerHost, 'folder'>,
  ) {}

  /**
   * The served name of a base model. Its folder will do too: clients load their tokenizer by the name that they gave.
   * @throws `MODEL_NOT_FOUND` with the names that there are
   */
  served(baseModel: string): string {
    const folderOf = ({ card, names }: ServedModel): string => card?.model ?? this.trainers.folder(names[0] ?? '');
    const byFolder = this.inference.models().find((model) => folderOf(model) === baseModel);
    return byFolder?.names[0] ?? this.#named(baseModel);
  }

  /** Whether it is served now. @param model served name */
  has(model: string): boolean {
    return this.inference.models().some(({ names }) => names.includes(model));
  }

  #named(baseModel: string): string {
    try {
      return this.inference.find(baseModel).names[0] ?? baseModel;
    } catch (thrown) {
      const cause = asTwinkleError(thrown);
      if (cause.code !== 'MODEL_NOT_FOUND') throw cause;
      const names = this.inference.models().flatMap((model) => model.names.map((name) => `\`${name}\``));
      const message = `no model \`${baseModel}\` is served here: expected one of ${names.join(', ')}, or the folder that it was served from`;
      throw new TwinkleError('MODEL_NOT_FOUND', message, { param: 'base_model', cause });
    }
  }
}
