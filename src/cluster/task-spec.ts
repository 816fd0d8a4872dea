/** How a lease finds its node, as a client or a journal says it: defaults in, shapes checked. What selectors say, `requestOf` checks. Pure. */
import { nodeAffinity } from '../scheduler/task-strategy.js';
import type { TaskStrategy } from '../scheduler/types.js';
import { entriesOf, invalid, textOr, unexpected } from '../scheduler/written.js';
import type { Quantities, TaskPlacementSpec } from './types.js';

/** What {@link readTaskSpec} takes: everything has a default. */
export type WrittenTaskSpec = Partial<TaskPlacementSpec>;

const DEFAULTS: TaskPlacementSpec = { strategy: { kind: 'default' }, preferred: null, fallbacks: [], needs: null };

/**
 * The rules of a lease: by default those of a task that says nothing. Nothing, or null: it is a group.
 * @throws `PLACEMENT_INVALID`
 */
export function readTaskSpec(written: unknown): TaskPlacementSpec | null {
  if (written === undefined || written === null) return null;
  const entries = entriesOf(written, 'task', 'an object such as {"strategy": {"kind": "spread"}}');
  const unknown = entries.find(([name]) => !Object.hasOwn(DEFAULTS, name));
  if (unknown !== undefined) throw invalid(`unknown field \`${unknown[0]}\` of \`task\``);
  const { strategy, preferred, fallbacks = DEFAULTS.fallbacks, needs = null } = Object.fromEntries(entries);
  if (!Array.isArray(fallbacks)) throw unexpected('a list of selectors', 'task.fallbacks', fallbacks);
  if (needs !== null) entriesOf(needs, 'task.needs', 'an object such as {"CPU": 1}, or null,');
  return {
    strategy: readStrategy(strategy),
    preferred: textOr(preferred, 'task.preferred', null),
    fallbacks,
    needs: needs as Quantities | null,
  };
}

function readStrategy(written: unknown): TaskStrategy {
  const path = 'task.strategy';
  if (written === undefined || written === null) return DEFAULTS.strategy;
  const fields = new Map(entriesOf(written, path, '{"kind": "default"}, "spread" or "node-affinity"'));
  const kind = fields.get('kind');
  fields.delete('kind');
  if (kind === 'node-affinity') return nodeAffinity(fields, path, 'node');
  if (kind !== 'default' && kind !== 'spread') {
    throw unexpected('default, spread or node-affinity', `${path}.kind`, kind);
  }
  if (fields.size > 0) throw invalid(`\`${path}\` of kind ${kind} has no field ${[...fields.keys()][0]}`);
  return { kind };
}
