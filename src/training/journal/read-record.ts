/** A line of the training journal → its record. Nearly all of a journal is answers, so those are not read as JSON. */
import { TwinkleError } from '../../errors.js';
import type { TrainingRecord } from './records.js';

const KINDS: ReadonlySet<unknown> = new Set<TrainingRecord['kind']>([
  'session',
  'ended',
  'sampler',
  'run',
  'ended-run',
  'future',
  'answer',
  'drop',
]);

/** How `JSON.stringify` begins a protobuf answer. */
const ANSWER = /^\{"kind":"answer","id":"([\w-]+)","at":(\d+),"answer":\{"protobuf":"/;
const ANSWER_END = '"}}';
/** Longer than any such beginning. */
const HEAD_BYTES = 160;

/** @throws SyntaxError for what is no JSON, `JOURNAL_DAMAGED` for what this version does not write */
export function readRecord(json: Buffer): TrainingRecord {
  const head = ANSWER.exec(json.toString('latin1', 0, HEAD_BYTES));
  const [begin = '', id = '', at = ''] = head ?? [];
  const end = json.length - ANSWER_END.length;
  if (head !== null && json.toString('latin1', end) === ANSWER_END) {
    return {
      kind: 'answer',
      id,
      at: Number(at),
      answer: { protobuf: decoded(json.toString('latin1', begin.length, end)) },
    };
  }
  const read: unknown = JSON.parse(json.toString());
  const kind = (read as { kind?: unknown } | null)?.kind;
  if (KINDS.has(kind)) return read as TrainingRecord;
  throw new TwinkleError(
    'JOURNAL_DAMAGED',
    `the training journal has a record of kind ${JSON.stringify(kind)}: a later version wrote it; go on with that one`,
  );
}

const SLAB_BYTES = 256 * 1024;
let slab = Buffer.alloc(0);
let used = 0;

/** Many in one piece of memory: they come and go together. */
function decoded(base64: string): Uint8Array {
  const atMost = Math.ceil((base64.length * 3) / 4);
  if (atMost > SLAB_BYTES / 8) return Buffer.from(base64, 'base64');
  if (used + atMost > slab.length) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    used = 0;
  }
  const length = slab.write(base64, used, 'base64');
  used += length;
  return slab.subarray(used - length, used);
}
