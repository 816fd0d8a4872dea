/** What the training journal says, one record a line of JSON. Knows no file and no object that a record is of. */
import type { CheckpointPath } from '../checkpoint-path.js';
import type { FutureFailure, FutureResult, NewRun, NewSession, RunNote, SampleRequest } from '../types.js';

/** A session was begun. */
export interface SessionRecord extends NewSession {
  readonly kind: 'session';
  readonly id: string;
  readonly tenant: string;
}

/** A session is over, with all that it had. */
export interface EndedRecord {
  readonly kind: 'ended';
  readonly session: string;
}

/** A sampling session was begun, or joined by one more client. */
export interface SamplerRecord {
  readonly kind: 'sampler';
  readonly id: string;
  readonly session: string;
  readonly baseModel: string;
  /** What was trained of it; null: nothing. */
  readonly from: CheckpointPath | null;
  /** Clients that joined. */
  readonly clients: number;
}

/** The weights of a run are there. */
export interface RunRecord {
  readonly kind: 'run';
  readonly id: string;
  readonly spec: NewRun;
  /** Served name of its base model. */
  readonly model: string;
  /** The request that made it. */
  readonly created: string;
  /** Unix ms. */
  readonly lastRequest: number;
  /** What its client's API keeps with it; absent: nothing. */
  readonly note?: RunNote;
}

/** A run is over before its session. */
export interface EndedRunRecord {
  readonly kind: 'ended-run';
  readonly run: string;
}

/** JSON has no word for a bigint. */
export interface StoredSample extends Omit<SampleRequest, 'seqId'> {
  readonly seqId: string;
}

/** What a request is for: a run, where `seqId` null made it, or a sampler. */
export type StoredPurpose =
  | { readonly run: string; readonly seqId: number | null }
  /** `request` null: it has an answer. */
  | { readonly sampler: string; readonly seqId: string; readonly request: StoredSample | null };

/** A request was taken. */
export interface FutureRecord {
  readonly kind: 'future';
  readonly id: string;
  readonly session: string;
  readonly purpose: StoredPurpose;
}

/** Protobuf is base64 in the file, and bytes once it has been read. */
type StoredAnswer = { readonly json: string } | { readonly protobuf: string | Uint8Array } | FutureFailure;

/** A request has its answer. */
export interface AnswerRecord {
  readonly kind: 'answer';
  readonly id: string;
  /** When, Unix ms. */
  readonly at: number;
  readonly answer: StoredAnswer;
}

/** A request and its answer are not wanted any more. */
export interface DropRecord {
  readonly kind: 'drop';
  readonly id: string;
}

export type TrainingRecord =
  | SessionRecord
  | EndedRecord
  | SamplerRecord
  | RunRecord
  | EndedRunRecord
  | FutureRecord
  | AnswerRecord
  | DropRecord;

/** Bytes as text: base64 costs a third more, and is quicker than any way to keep them beside. */
export function storedAnswer(answer: FutureResult | FutureFailure): StoredAnswer {
  if ('error' in answer) return answer;
  const bytes = Buffer.from(answer.bytes.buffer, answer.bytes.byteOffset, answer.bytes.byteLength);
  return answer.kind === 'json' ? { json: bytes.toString() } : { protobuf: bytes.toString('base64') };
}

/** The answer again, byte for byte. */
export function answerOf(stored: StoredAnswer): FutureResult | FutureFailure {
  if ('error' in stored) return stored;
  if ('json' in stored) return { kind: 'json', bytes: Buffer.from(stored.json) };
  const { protobuf } = stored;
  return { kind: 'protobuf', bytes: typeof protobuf === 'string' ? Buffer.from(protobuf, 'base64') : protobuf };
}

export const storedSample = (request: SampleRequest): StoredSample => ({ ...request, seqId: String(request.seqId) });

export const sampleOf = (stored: StoredSample): SampleRequest => ({ ...stored, seqId: BigInt(stored.seqId) });
