/** Which options describe one model, and which do not go with a Twinkle Server's file, which describes its models itself. Pure. */
import { OPTION_KEYS, type OptionKey, optionSpec, type SERVE_OPTIONS } from './options.js';

type InGroup<Group> = {
  [Key in OptionKey]: (typeof SERVE_OPTIONS)[Key]['group'] extends Group ? Key : never;
}[OptionKey];

/** An option that describes one model. */
export type ModelKey = InGroup<'Model'> | Exclude<InGroup<'Placement'>, 'address'>;

/** Whether the option describes one model. */
export function isModelKey(key: OptionKey): key is ModelKey {
  const { group } = optionSpec(key);
  return group === 'Model' || (group === 'Placement' && key !== 'address');
}

/** Options of training that say for all models what a Twinkle Server's file says for each. */
export const TRAINING_OF_ALL = [
  'train-gpus',
  'train-ranks',
  'train-shard',
  'train-full',
  'sleep-while-training',
  'max-training-runs',
  'max-run-life',
] as const satisfies readonly OptionKey[];

/** An option that does not go with a Twinkle Server's file. */
export type NotLaunchKey = ModelKey | (typeof TRAINING_OF_ALL)[number];

/** Options that go with a Twinkle Server's file, in the order of the help. */
export const LAUNCH_KEYS: readonly OptionKey[] = OPTION_KEYS.filter(
  (key) => !isModelKey(key) && !(TRAINING_OF_ALL as readonly OptionKey[]).includes(key),
);
