/** What messages call the fields of a group: users look for what they wrote, which is not the same in a program and on a command line. Pure. */
import type { WrittenGroup } from './validate.js';

/** A name for each field that messages speak of. */
export type FieldNames = Readonly<Record<NamedField, string>>;

type NamedField = Exclude<keyof WrittenGroup, 'name' | 'namespace' | 'lifetime'>;

/** Every field by its own name. */
export const OWN_NAMES: FieldNames = {
  bundles: 'bundles',
  strategy: 'strategy',
  topologyStrategy: 'topologyStrategy',
  domainLabel: 'domainLabel',
  bundleLabelSelector: 'bundleLabelSelector',
  softTarget: 'softTarget',
  tensorParallel: 'tensorParallel',
};
