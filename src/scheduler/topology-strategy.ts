/** `strategy` and Ray's `topology_strategy`: which rule holds between nodes, and which label must have one value for all bundles. Pure. */
import { didYouMean } from '../util/did-you-mean.js';
import { NODE_ID_LABEL, parseSelector } from './labels.js';
import type { Strategy } from './types.js';
import { entriesOf, invalid, unexpected } from './written.js';

/** In the order of Ray's documents. */
export const STRATEGIES: readonly Strategy[] = ['PACK', 'SPREAD', 'STRICT_PACK', 'STRICT_SPREAD'];

/** What both fields say together. */
export interface CompiledStrategy {
  readonly strategy: Strategy;
  /** All bundles on nodes with one value of this label; null: anywhere. */
  readonly domainLabel: string | null;
}

/**
 * Compile both fields; at most one may be written.
 * @throws `PLACEMENT_INVALID`
 */
export function strategyOf(strategy: unknown, topology: unknown): CompiledStrategy {
  const nothing = strategy === undefined || strategy === null;
  if (topology === undefined || topology === null) {
    return { strategy: nothing ? 'PACK' : oneOf(strategy, 'strategy'), domainLabel: null };
  }
  if (!nothing) {
    throw invalid(
      `\`strategy\` and \`topologyStrategy\` exclude each other; write the strategy as topologyStrategy["${NODE_ID_LABEL}"]`,
    );
  }
  return topologyOf(topology);
}

function topologyOf(written: unknown): CompiledStrategy {
  const path = 'topologyStrategy';
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
