import { expect, it } from 'vitest';
import { readRecord } from '../../../../src/training/journal/read-record.js';
import {
  type AnswerRecord,
  answerOf,
  storedAnswer,
  type TrainingRecord,
} from '../../../../src/training/journal/records.js';

const read = (record: unknown): TrainingRecord => readRecord(Buffer.from(JSON.stringify(record)));
const bytesOf = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, at) => (at * 31 + seed * 7) % 256);
const answer = (bytes: Uint8Array): AnswerRecord => ({
  kind: 'answer',
  id: 'req-0a1b',
  at: 1_760_000_000_000,
  answer: storedAnswer({ kind: 'protobuf', bytes }),
});

it('gives back answers byte for byte, of any length, one after another', () => {
  const lengths = [0, 1, 2, 3, 100, 5000, 31_999, 32_000, 40_000, 300_000];
  const all = [...lengths, ...lengths, ...Array.from({ length: 200 }, () => 2999)].map(bytesOf);
  const records = all.map((bytes) => read(answer(bytes)) as AnswerRecord);
  records.forEach((record, at) => {
    expect(record).toMatchObject({ kind: 'answer', id: 'req-0a1b', at: 1_760_000_000_000 });
    const { bytes } = answerOf(record.answer) as { bytes: Uint8Array };
    expect(Buffer.compare(bytes, all[at] as Uint8Array)).toBe(0);
  });
});

it('reads everything else as JSON, answers among it that are no bytes', () => {
  const records: TrainingRecord[] = [
    { kind: 'ended', session: 's' },
    { kind: 'answer', id: 'a', at: 1, answer: { json: '"}}' } },
    { kind: 'answer', id: 'a', at: 1, answer: { error: '{"protobuf":"', category: 'user' } },
    { kind: 'drop', id: 'ü' },
  ];
  expect(records.map(read)).toEqual(records);
});

it('refuses what a later version wrote, and what is no JSON', () => {
  for (const odd of [null, 1, {}, { kind: 'later' }]) expect(() => read(odd)).toThrow('later version');
  expect(() => readRecord(Buffer.from('{"kind":'))).toThrow(SyntaxError);
});
