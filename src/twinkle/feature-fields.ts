/** The fields of one encoded sequence, each checked by itself; messages name the place. Pure. */
import { TwinkleError } from '../errors.js';
import { type Given, shown } from './arguments.js';

/** The label of a position that does not count. */
export const IGNORED = -100;

const LARGEST = 2 ** 31 - 1;

/** Fields that carry what the packed trainer cannot compute with. */
const NOT_TEXT = [
  'input_embedding',
  'inputs_embeds',
  'pixel_values',
  'pixel_values_videos',
  'image_grid_thw',
  'video_grid_thw',
  'input_features',
  'input_features_mask',
  'feature_attention_mask',
  'grid_thws',
  'images',
  'videos',
  'audios',
];

/** `INVALID_REQUEST` about a place. */
export const refusedAt = (place: string, message: string): TwinkleError =>
  new TwinkleError('INVALID_REQUEST', message, { param: place });

/** A list, or the only row of a list of lists. */
export function rowOf(value: unknown, place: string): readonly unknown[] {
  const rows: readonly unknown[] | null = Array.isArray(value) ? value : null;
  if (rows === null) throw refusedAt(place, `expected a list for \`${place}\` but received ${shown(value)}`);
  if (!Array.isArray(rows[0])) return rows;
  if (rows.length === 1) return rows[0];
  throw refusedAt(
    place,
    `expected one sequence for \`${place}\` but received ${rows.length} rows; send each as an input of its own`,
  );
}

function isId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= LARGEST;
}

/** Token ids. @throws `INVALID_REQUEST` for none, and for what is none */
export function tokensOf(value: unknown, place: string): readonly number[] {
  const row = rowOf(value, place);
  if (row.length === 0) throw refusedAt(place, `expected at least one token for \`${place}\` but received none`);
  const wrong = row.findIndex((one) => !isId(one));
  if (wrong === -1) return row as readonly number[];
  throw refusedAt(place, `expected token ids for \`${place}\` but received ${shown(row[wrong])} at position ${wrong}`);
}

/** How many entries at the end are padding. @param size entries of input_ids */
export function paddingOf(value: unknown, size: number, place: string): number {
  if (value === undefined || value === null) return 0;
  const row = rowOf(value, place).map((one) => (typeof one === 'boolean' ? Number(one) : one));
  if (row.length !== size)
    throw refusedAt(place, `expected ${size} entries, as input_ids has, for \`${place}\` but received ${row.length}`);
  const end = row.indexOf(0);
  const kept = end === -1 ? size : end;
  const wrong = row.findIndex((one, at) => one !== (at < kept ? 1 : 0));
  if (wrong !== -1) {
    const found = shown(row[wrong]);
    throw refusedAt(
      place,
      `expected ones and then zeros for \`${place}\` but received ${found} at position ${wrong}; send a sequence without padding`,
    );
  }
  if (kept === 0) throw refusedAt(place, `expected a one in \`${place}\`, which hides every token`);
  return size - kept;
}

/** Targets, {@link IGNORED} where none counts; without those of the padding. @param size entries of input_ids */
export function labelsOf(value: unknown, size: number, padding: number, place: string): readonly number[] {
  const row = rowOf(value, place);
  if (row.length !== size)
    throw refusedAt(
      place,
      `expected ${size} labels, as input_ids has tokens, for \`${place}\` but received ${row.length}`,
    );
  const kept = size - padding;
  const wrong = row.findIndex((one) => one !== IGNORED && !isId(one));
  if (wrong !== -1)
    throw refusedAt(
      place,
      `expected token ids or ${IGNORED} for \`${place}\` but received ${shown(row[wrong])} at position ${wrong}`,
    );
  const hidden = row.findIndex((one, at) => at >= kept && one !== IGNORED);
  if (hidden !== -1)
    throw refusedAt(place, `\`${place}\` counts position ${hidden}, which attention_mask hides; label it ${IGNORED}`);
  return (padding === 0 ? row : row.slice(0, kept)) as readonly number[];
}

/** Of a sentence: whether it begins a group. */
export function anchorOf(value: unknown, place: string): boolean {
  const row = Array.isArray(value) ? rowOf(value, place) : [value];
  const [mark] = row;
  if (row.length === 1 && (mark === 0 || mark === 1)) return mark === 1;
  throw refusedAt(
    place,
    `expected [1] for an anchor and [0] for the sentences that belong to it for \`${place}\` but received ${shown(value)}`,
  );
}

/** Refuses positions that are not those of one sequence from its beginning on. */
export function checkPositions(value: unknown, size: number, padding: number, place: string): void {
  if (value === undefined || value === null) return;
  // Models with several axes have a row for each, alike where there is only text.
  if (Array.isArray(value) && Array.isArray(value[0])) {
    for (const row of value as unknown[]) checkPositions(row, size, padding, place);
    return;
  }
  const row = rowOf(value, place);
  if (row.length !== size)
    throw refusedAt(place, `expected ${size} entries, as input_ids has, for \`${place}\` but received ${row.length}`);
  const wrong = row.findIndex((one, at) => at < size - padding && one !== at);
  if (wrong === -1) return;
  const packed = row[wrong] === 0 ? '; send packed sequences each as an input of its own' : '';
  throw refusedAt(
    place,
    `expected 0, 1, 2 … for \`${place}\` but received ${shown(row[wrong])} at position ${wrong}${packed}`,
  );
}

/** Refuses what is no text. */
export function checkMedia(entry: Given, place: string): void {
  for (const name of NOT_TEXT) {
    if (!blank(entry, name))
      throw refusedAt(`${place}.${name}`, `\`${place}.${name}\` cannot be trained on or sampled from: only text is`);
  }
}

/** Refuses fields that would change the result and cannot. */
export function checkOthers(entry: Given, size: number, padding: number, place: string): void {
  const { length } = entry;
  const said: unknown = Array.isArray(length) && length.length === 1 ? length[0] : length;
  if (said !== undefined && said !== null && said !== size && said !== size - padding) {
    throw refusedAt(
      `${place}.length`,
      `expected ${size - padding} for \`${place}.length\` but received ${shown(said)}`,
    );
  }
  checkMedia(entry, place);
  if (!blank(entry, 'routed_experts')) {
    throw refusedAt(
      `${place}.routed_experts`,
      `\`${place}.routed_experts\` cannot be replayed: experts are chosen anew`,
    );
  }
}

function blank(entry: Given, name: string): boolean {
  const value = Object.hasOwn(entry, name) ? entry[name] : undefined;
  return value === undefined || value === null || (Array.isArray(value) && value.length === 0);
}
