/** The models of a Twinkle Server's file beside what flags and the environment say: which of those go with it, and on what its ranks run. */

import { TwinkleError } from '../errors.js';
import { type DeviceSource, offerFor } from './accelerator.js';
import { type CompiledModels, refuseBeside, type WrittenModels } from './compile-models.js';
import { TRAINING_OF_ALL } from './option-groups.js';
import type { OptionKey } from './options.js';
import { compileRouting } from './routing.js';
import { type Layer, located, Settings, type Written } from './settings.js';
import { modelSource } from './twinkle/model-source.js';
import { notYet } from './twinkle/not-yet.js';
import { modelsOf } from './twinkle/serving.js';
import type { TwinkleConfig } from './twinkle/types.js';
import type { TrainedModel } from './types.js';

/** The file, compiled, and where it says what our options say, too. */
export interface WrittenTwinkle {
  readonly config: TwinkleConfig;
  /** Of `applications`. */
  readonly origin: Written['origin'];
  /** Of `http_options.host` and `.port`; null: the file does not say. */
  readonly host: Written | null;
  readonly port: Written | null;
  readonly warnings: readonly string[];
}

/** What the file says of the server's address, as any file of ours would. */
export function addressLayer({ host, port }: WrittenTwinkle): Layer {
  const layer = new Map<OptionKey, Written>();
  if (host !== null) layer.set('host', host);
  if (port !== null) layer.set('port', port);
  return layer;
}

/** @throws `CONFIG_INVALID`, `DEVICE_MISSING` */
export async function compileTwinkleModels(
  twinkle: WrittenTwinkle,
  written: WrittenModels,
  source: DeviceSource,
): Promise<CompiledModels & { readonly trained: readonly TrainedModel[] }> {
  refuseBeside(twinkle.origin, written);
  const settings = new Settings(written.layers);
  const twice = TRAINING_OF_ALL.find((key) => settings.written(key) !== null);
  if (twice !== undefined) {
    const { name } = settings.origin(twice);
    throw new TwinkleError(
      'CONFIG_INVALID',
      `${located(twinkle.origin)}\`${twinkle.origin.name}\` says for each model how it is trained, and \`${name}\` for all; leave one out`,
    );
  }
  const { models: ofFile, trained } = modelsOf(twinkle.config, (id, engine) => modelSource(id, engine, written));
  const routed = settings.written('routing') !== null;
  const models = ofFile.map((model) =>
    routed ? { ...model, routing: compileRouting(settings, model.engine, model.engineArgs) } : model,
  );
  const parts = [...models, ...trained].map(({ placement }) => placement.accelerator);
  const offer = await offerFor(settings, new Set(parts.filter((kind) => kind !== null)), source, written.env);
  return { models, trained, offer, warnings: [...twinkle.warnings, ...notYet(twinkle.config), ...offer.warnings] };
}
