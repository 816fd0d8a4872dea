/** A home whose server had runs with kept answers when it was killed: the journal that it would have left. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { openSegments } from '../../dist/training/journal/segments.js';

const NOTHING = { snapshot: () => [], keeps: () => true, move() {}, keptBytes: () => Number.POSITIVE_INFINITY };
const SEGMENT_BYTES = 16 << 20;
/** A key may have 256; who measures wants some for itself. */
const RUNS_OF_KEY = 100;

/**
 * @param {{runs: number, answers: number, bytes: number}} what runs, each with so many answers of so many bytes
 * @returns {Promise<{requests: string[]}>} ids of all requests; the last ones are the tenant's `local`, the others' keys are nobody's
 */
export async function keepAnswers(home, { runs, answers, bytes }) {
  const folder = join(home, 'training');
  const fail = (error) => {
    throw error;
  };
  const segments = await openSegments({
    folder,
    segmentBytes: SEGMENT_BYTES,
    living: NOTHING,
    onRecord() {},
    onError: fail,
  });
  let session = '';
  const about = { userMetadata: null, displayName: null, idempotencyKey: null };
  const protobuf = Buffer.alloc(bytes, 'answer').toString('base64');
  const requests = [];
  for (let seqId = 0; seqId < runs; seqId++) {
    if (seqId % RUNS_OF_KEY === 0) {
      session = randomUUID();
      const tenant = runs - seqId <= RUNS_OF_KEY ? 'local' : `key-${seqId}`;
      segments.append({ kind: 'session', id: session, tenant, ...about });
    }
    const run = `${session}:train:${seqId}`;
    const shape = { baseModel: 'mock', rank: 8, seed: 1, attn: true, mlp: true, unembed: true };
    const spec = { session, seqId, ...shape, userMetadata: null };
    for (let request = 0; request <= answers; request++) {
      const id = `req-${randomUUID()}`;
      const created = request === 0;
      segments.append({ kind: 'future', id, session, purpose: { run, seqId: created ? null : request } });
      if (created) segments.append({ kind: 'run', id: run, spec, model: 'mock', created: id, lastRequest: Date.now() });
      const answer = created ? { json: JSON.stringify({ model_id: run, type: 'create_model' }) } : { protobuf };
      segments.append({ kind: 'answer', id, at: Date.now(), answer });
      requests.push(id);
    }
    await segments.flush();
  }
  await segments.close();
  return { requests };
}
