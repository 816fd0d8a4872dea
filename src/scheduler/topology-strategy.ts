/** `strategy` and Ray's `topology_strategy`: which rule holds between nodes, and which label must have one value for all bundles. Pure. */
import { didYouMean } from '../util/did-you-mean.js';
import type { FieldNames } from './field-names.js';
import { NODE_ID_LABEL, parseSelector } from './labels.js';
import type { Strategy } from './types.js';
import type { WrittenGroup } from './validate.js';
import { entriesOf, invalid, unexpected } from './written.js';

/** In the order of Ray's documents. */
export const STRATEGIES: readonly Strategy[] = ['PACK', 'SPREAD', 'STRICT_PACK', 'STRICT_SPREAD'];

/** What the fields say together. */
export interface CompiledStrategy {
  readonly strategy: Strategy;
  /** All bundles on nodes with one value of this label; null: anywhere. */
  readonly domainLabel: string | null;
}

/**
 * Compile the fields; `topologyStrategy` says by itself what the other two say.
 * @throws `PLACEMENT_INVALID`
 */
export function strategyOf(
  written: Pick<WrittenGroup, 'strategy' | 'topologyStrategy' | 'domainLabel'>,
  names: FieldNames,
): CompiledStrategy {
  const { strategy = null, topologyStrategy = null, domainLabel = null } = written;
  if (topologyStrategy === null) {
    return {
      strategy: strategy === null ? 'PACK' : oneOf(strategy, names.strategy),
      domainLabel: domainLabel === null ? null : domainOf(domainLabel, names.domainLabel),
    };
  }
  const path = names.topologyStrategy;
  if (strategy !== null) {
    const there = `${path}["${NODE_ID_LABEL}"]`;
    throw invalid(`\`${names.strategy}\` and \`${path}\` exclude each other; write the strategy as ${there}`);
  }
  if (domainLabel !== null) {
    throw invalid(`\`${names.domainLabel}\` and \`${path}\` exclude each other; write the label into \`${path}\``);
  }
  return topologyOf(topologyStrategy, path);
}

function domainOf(label: unknown, path: string): string {
  if (typeof label !== 'string') throw unexpected('the name of a label', path, label);
  if (label === NODE_ID_LABEL) {
    throw unexpected(
      'a label that several nodes can share',
      path,
      label,
      'write the strategy STRICT_PACK for one node',
    );
  }
  parseSelector({ [label]: 'any' }, path); // names of labels follow the same rules there
  return label;
}

function topologyOf(written: unknown, path: string): CompiledStrategy {
  let strategy: Strategy = 'PACK';
  let domainLabel: string | null = null;
  for (const [label, value] of entriesOf(written, path, 'an object of label → strategy')) {
    const chosen = oneOf(value, `${path}["${label}"]`);
    if (label === NODE_ID_LABEL) {
      strategy = chosen;
      continue;
    }
    parseSelector({ [label]: 'any' }, path); // the name follows the same rules there
    if (domainLabel !== null) {
      throw invalid(
        `\`${path}\` may name one label besides ${NODE_ID_LABEL} but names ${domainLabel} and ${label}; leave one out`,
      );
    }
    if (chosen !== 'STRICT_PACK') throw unexpected('STRICT_PACK', `${path}["${label}"]`, value);
    domainLabel = label;
  }
  return { strategy, domainLabel };
}

function oneOf(written: unknown, path: string): Strategy {
  const found = STRATEGIES.find((strategy) => strategy === written);
  if (found !== undefined) return found;
  const hint = typeof written === 'string' ? didYouMean(written, STRATEGIES) : '';
  throw unexpected(STRATEGIES.join(', '), path, written, hint === '' ? undefined : hint.slice(2));
}
