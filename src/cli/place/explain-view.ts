/** Shows how a group came to its nodes: the choices in order, the scores of the candidates, the links of devices. Pure. */
import { formatRanges } from '../../util/ranges.js';
import type { Paint } from '../render/style.js';
import { wrap } from '../render/width.js';
import type { WhatIf } from './group.js';
import { describeDevices } from './seat-devices.js';

/** Choices and blocks in lines; what is more, `--json` has (of choices the first fifty). */
const MOST_CHOICES = 12;
const MOST_BLOCKS = 16;
/** Nodes of a block in a line. */
const MOST_NODES = 4;
/** Other candidates of a choice. */
const MOST_OTHERS = 4;
/** Ranges of bundles in a line. */
const MOST_RANGES = 12;

type Choice = NonNullable<WhatIf['choices']>[number];
type Block = NonNullable<WhatIf['links']>[number];

const WHY: Readonly<Record<Choice['why'], string>> = {
  highest: 'the highest score',
  'first-of-equals': 'the first to join of those with the highest score',
  'best-linked': 'the highest score, and of those the best linked devices',
  'soft-target': 'the soft target',
};

/** Lines; none without choices. */
export function explained({ choices, links, strategy, bundles }: WhatIf, width: number | null, paint: Paint): string[] {
  if (choices === undefined) return [];
  const lines = ['', paint('bold', 'Choices, in the order in which they were made')];
  for (const [index, choice] of choices.slice(0, MOST_CHOICES).entries()) {
    lines.push(...indented(`${index + 1}. ${headOf(choice, bundles.length)}`, 2, width));
    lines.push(...indented(candidatesOf(choice), 5, width).map((line) => paint('dim', line)));
  }
  const chosen = choices.reduce((sum, choice) => sum + 1 + choice.beside.length, 0);
  const hidden = choices.slice(MOST_CHOICES).length > 0 || (strategy !== 'STRICT_PACK' && chosen < bundles.length);
  if (hidden) lines.push(paint('dim', '  … more choices follow: see --json'));
  return [...lines, ...linkLines(links ?? [], width, paint)];
}

function headOf({ bundle, resources, node, score, why, again, beside }: Choice, all: number): string {
  const asks = Object.entries(resources).map(([name, quantity]) => `${name} ${quantity}`);
  const who = bundle === null ? `all ${all} bundles` : `bundle ${bundle}`;
  const also = beside.length === 0 ? '' : `; beside it ${named(beside)}`;
  const used = again ? ', used already because no unused node has room' : '';
  return `${who} (${asks.join(', ') || 'nothing'}) → ${node}: ${WHY[why]}, ${shown(score)}${used}${also}`;
}

function candidatesOf({ others, otherCount, unfit }: Choice): string {
  const best = others.slice(0, MOST_OTHERS).map(({ node, score }) => `${node} ${shown(score)}`);
  const more = otherCount - best.length;
  const parts = [
    ...(best.length === 0
      ? ['no other candidate has room']
      : [`next: ${best.join(', ')}${more > 0 ? ` and ${more} more` : ''}`]),
    ...(unfit === 0 ? [] : [`${unfit} ${unfit === 1 ? 'node does' : 'nodes do'} not take it`]),
  ];
  return parts.join('; ');
}

function linkLines(links: readonly Block[], width: number | null, paint: Paint): string[] {
  if (links.length === 0) return [];
  const lines = ['', paint('bold', 'Links of devices that work together')];
  for (const { bundles, nodes, pairs } of links.slice(0, MOST_BLOCKS)) {
    const some = nodes.slice(0, MOST_NODES).map(({ node, devices }) => `${node} ${describeDevices(devices)}`);
    const where = [...some, ...(nodes.length > MOST_NODES ? ['…'] : [])].join('; ');
    const kinds = pairs.map(([kind, count]) => `${count} ${count === 1 ? 'pair' : 'pairs'} ${WORDS[kind] ?? kind}`);
    const apart = nodes.length > 1 ? [`${nodes.length} nodes: the rest goes over the network`] : [];
    lines.push(...indented(`${named(bundles)} on ${where}: ${[...kinds, ...apart].join(', ')}`, 2, width));
  }
  if (links.length > MOST_BLOCKS) lines.push(paint('dim', `  … and ${links.length - MOST_BLOCKS} more: see --json`));
  return lines;
}

const WORDS: Readonly<Record<string, string>> = {
  nvlink: 'by NVLink',
  hccs: 'by HCCS',
  pix: 'behind one PCIe switch',
  pxb: 'behind several PCIe switches',
  phb: 'over a PCIe host bridge',
  node: 'in one NUMA node',
  sys: 'over the interconnect of NUMA nodes',
  unknown: 'of unknown links',
};

/** `bundle 3`, `bundles 0-3, 8 and 5 more`. */
function named(bundles: readonly number[]): string {
  const [first, ...others] = bundles;
  if (others.length === 0) return `bundle ${first}`;
  const ranges = formatRanges(bundles).split(',');
  const some = ranges.slice(0, MOST_RANGES);
  return `bundles ${some.join(', ')}${ranges.length > some.length ? ', …' : ''}`;
}

function shown(score: number): string {
  return score.toFixed(3);
}

function indented(text: string, blanks: number, width: number | null): string[] {
  return wrap(text, width === null ? null : width - blanks).map((line) => ' '.repeat(blanks) + line);
}
