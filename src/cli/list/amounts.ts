/** Amounts and names for people, as short as they can be. Pure. */
import type { NodeStatus } from '../../cluster/api.js';
import { formatBytes } from '../../config/quantity.js';

const BYTES: ReadonlySet<string> = new Set(['memory', 'object_store_memory']);

/** `2/8`, `1.5/8.0 GiB`; `-` where there is none. */
export function usage(node: Pick<NodeStatus, 'resources' | 'available'>, name: string): string {
  const total = node.resources[name];
  if (total === undefined) return '-';
  const used = total - (node.available[name] ?? 0);
  if (!BYTES.has(name)) return `${exact(used)}/${exact(total)}`;
  const [amount = '', unit] = formatBytes(total).split(' ');
  const [usedAmount = '', usedUnit] = formatBytes(used).split(' ');
  return unit === usedUnit || used === 0
    ? `${used === 0 ? '0' : usedAmount}/${amount} ${unit}`
    : `${usedAmount} ${usedUnit}/${amount} ${unit}`;
}

/** `CPU 1, GPU 0.5, memory 8.0 GiB`; `nothing` for none. */
export function describeAmounts(amounts: Readonly<Record<string, number>>): string {
  const words = Object.entries(amounts).map(
    ([name, amount]) => `${name} ${BYTES.has(name) ? formatBytes(amount) : exact(amount)}`,
  );
  return words.join(', ') || 'nothing';
}

/** Without the noise of binary fractions: the ledger counts in 1/10000. */
export function exact(amount: number): string {
  return String(Math.round(amount * 10_000) / 10_000);
}

/** The first words, and how many there are beyond: `a, b +6`; `-` for none. */
export function few(words: readonly string[], most = 4): string {
  if (words.length === 0) return '-';
  const shown = words.slice(0, most).join(',');
  return words.length > most ? `${shown} +${words.length - most}` : shown;
}

/** Enough of a long random id to tell it from others: `8499ed73-432…`; `--json` has the whole. */
export function shortId(id: string): string {
  return id.length > 16 ? `${id.slice(0, 12)}…` : id;
}

/** A vendor's uuid as people tell devices apart: `GPU-8f4e2a1c`; anything else as it is. */
export function shortUuid(uuid: string): string {
  return /^([A-Z]+-[0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f-]+$/i.exec(uuid)?.[1] ?? uuid;
}
