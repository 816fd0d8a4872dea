/** What a client sends to be computed: encoded sequences, or conversations that are yet to be encoded. Pure. */
import { type Given, shown } from './arguments.js';
import {
  anchorOf,
  checkMedia,
  checkOthers,
  checkPositions,
  IGNORED,
  labelsOf,
  paddingOf,
  refusedAt,
  tokensOf,
} from './feature-fields.js';

/** What is computed of a sequence: the probabilities of its targets, or one vector. */
export type Task = 'causal_lm' | 'embedding';

/** An encoded sequence, without its padding: plain JSON. */
export interface Feature {
  readonly tokens: readonly number[];
  /** Target of each position, not shifted any more, -100 where it does not count; null: none were sent. */
  readonly labels: readonly number[] | null;
  /** Of a sentence to be embedded: whether it begins a group; null: not said. */
  readonly anchor: boolean | null;
  /** Entries at the end that were sent and left out. */
  readonly padding: number;
}

/** A conversation. What else the client sent with it is kept as it came. */
export interface Trajectory {
  readonly messages: readonly Given[];
  readonly [field: string]: unknown;
}

/** `inputs` of a request, at least one. */
export type Inputs =
  | { readonly kind: 'features'; readonly features: readonly Feature[] }
  | { readonly kind: 'trajectories'; readonly trajectories: readonly Trajectory[] };

/**
 * Reads `inputs`: one dict or a list of them, all of one kind.
 * @param task what labels mean: targets of positions, or marks of anchors
 * @throws `INVALID_REQUEST`, which names the place
 */
export function readInputs(inputs: unknown, task: Task = 'causal_lm'): Inputs {
  const list: readonly unknown[] = Array.isArray(inputs) ? inputs : [inputs];
  if (list.length === 0) throw refusedAt('inputs', 'expected at least one input but received an empty list');
  const entries = list.map(entryOf);
  const encoded = entries.map(({ input_ids }) => input_ids !== undefined && input_ids !== null);
  const other = encoded.findIndex((one) => one !== encoded[0]);
  if (other !== -1) {
    const [first, second] = encoded[0] === true ? ['encoded', 'is not'] : ['not encoded', 'is'];
    throw refusedAt(
      'inputs',
      `expected inputs of one kind, but inputs[0] is ${first} and inputs[${other}] ${second}; send them apart`,
    );
  }
  if (encoded[0] === true)
    return { kind: 'features', features: entries.map((entry, at) => featureOf(entry, at, task)) };
  return { kind: 'trajectories', trajectories: entries.map(trajectoryOf) };
}

/** The tokens that follow each token; nothing counts after the last. */
export function nextTokens(tokens: readonly number[]): readonly number[] {
  return [...tokens.slice(1), IGNORED];
}

function entryOf(entry: unknown, at: number): Given {
  if (typeof entry === 'object' && entry !== null && !Array.isArray(entry)) return entry as Given;
  throw refusedAt(
    `inputs[${at}]`,
    `expected an object with \`input_ids\` or \`messages\` for \`inputs[${at}]\` but received ${shown(entry)}`,
  );
}

function featureOf(entry: Given, at: number, task: Task): Feature {
  const place = `inputs[${at}]`;
  const sent = tokensOf(entry.input_ids, `${place}.input_ids`);
  const padding = paddingOf(entry.attention_mask, sent.length, `${place}.attention_mask`);
  checkPositions(entry.position_ids, sent.length, padding, `${place}.position_ids`);
  checkOthers(entry, sent.length, padding, place);
  const tokens = padding === 0 ? sent : sent.slice(0, -padding);
  const { labels = null } = entry;
  const said = labels !== null;
  return {
    tokens,
    labels: said && task === 'causal_lm' ? labelsOf(labels, sent.length, padding, `${place}.labels`) : null,
    anchor: said && task === 'embedding' ? anchorOf(labels, `${place}.labels`) : null,
    padding,
  };
}

function trajectoryOf(entry: Given, at: number): Trajectory {
  const place = `inputs[${at}].messages`;
  const { messages } = entry;
  if (messages === undefined || messages === null) {
    throw refusedAt(
      `inputs[${at}]`,
      `expected \`input_ids\` or \`messages\` in \`inputs[${at}]\`, which has ${Object.keys(entry).join(', ') || 'nothing'}`,
    );
  }
  if (!Array.isArray(messages) || messages.length === 0) {
    throw refusedAt(place, `expected at least one message for \`${place}\` but received ${shown(messages)}`);
  }
  const wrong = messages.findIndex(
    (one: unknown) => typeof one !== 'object' || one === null || typeof (one as Given).role !== 'string',
  );
  if (wrong !== -1) {
    throw refusedAt(
      `${place}[${wrong}]`,
      `expected an object with a \`role\` for \`${place}[${wrong}]\` but received ${shown(messages[wrong])}`,
    );
  }
  checkMedia(entry, `inputs[${at}]`);
  return entry as Trajectory;
}
