import { describe, expect, it } from 'vitest';
import {
  answerOf,
  type RunRecord,
  sampleOf,
  storedAnswer,
  storedSample,
} from '../../../../src/training/journal/records.js';
import { Replay } from '../../../../src/training/journal/replay.js';
import type { SampleRequest } from '../../../../src/training/types.js';

const session = {
  kind: 'session',
  id: 's',
  tenant: 't',
  userMetadata: { a: 1 },
  displayName: null,
  idempotencyKey: 'k',
} as const;
const future = (id: string) => ({ kind: 'future', id, session: 's', purpose: { run: 's:train:0', seqId: 1 } }) as const;
const answer = (id: string, json = '{}', at = 5) => ({ kind: 'answer', id, at, answer: { json } }) as const;

describe('a replay', () => {
  it('knows what was begun and has not ended', () => {
    const replay = new Replay();
    replay.apply(session, 1);
    replay.apply({ ...session, id: 'over' }, 1);
    replay.apply({ kind: 'sampler', id: 's:sample:0', session: 's', baseModel: 'm', from: null, clients: 0 }, 1);
    replay.apply({ kind: 'sampler', id: 's:sample:0', session: 's', baseModel: 'm', from: null, clients: 2 }, 1);
    replay.apply({ kind: 'ended', session: 'over' }, 2);
    expect([...replay.sessions.values()]).toEqual([session]);
    expect(replay.samplers.get('s:sample:0')?.clients).toBe(2);
  });

  it('knows runs as they were written last, and those that have ended not at all', () => {
    const replay = new Replay();
    const run = {
      kind: 'run',
      id: 's:train:0',
      spec: {},
      model: 'm',
      created: 'c',
      lastRequest: 0,
    } as never as RunRecord;
    replay.apply(run, 1);
    replay.apply({ ...run, note: { step: 2 } }, 1);
    replay.apply({ ...run, id: 's:train:1' }, 1);
    replay.apply({ kind: 'ended-run', run: 's:train:1' }, 2);
    replay.apply({ kind: 'ended-run', run: 'nobody' }, 2);
    expect([...replay.runs.values()]).toEqual([{ ...run, note: { step: 2 } }]);
  });

  it('has the answer of a request where it was written last', () => {
    const replay = new Replay();
    for (const id of ['open', 'done', 'dropped']) replay.apply(future(id), 1);
    replay.apply(answer('done'), 1);
    replay.apply(answer('dropped'), 1);
    replay.apply({ kind: 'drop', id: 'dropped' }, 1);
    const answered = { at: 5, answer: answerOf({ json: '{}' }) };
    expect([...replay.futures.keys()]).toEqual(['open', 'done']);
    expect(replay.futures.get('open')?.answered).toBeNull();
    expect(replay.futures.get('done')).toMatchObject({ answered, segment: 1 });
    replay.apply(future('done'), 2);
    // The write that moves it was cut here: the old answer counts.
    expect(replay.futures.get('done')?.answered).toEqual(answered);
    replay.apply(answer('done'), 2);
    expect(replay.futures.get('done')).toMatchObject({ answered, segment: 2 });
  });

  it('takes answers of what was dropped, or lay in a segment that is gone, for nothing', () => {
    const replay = new Replay();
    replay.apply(answer('gone'), 3);
    replay.apply({ kind: 'drop', id: 'gone' }, 3);
    replay.apply({ kind: 'ended', session: 'gone' }, 3);
    expect([replay.futures.size, replay.sessions.size]).toEqual([0, 0]);
  });
});

describe('a record', () => {
  it('keeps answers byte for byte', () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, at) => at).subarray(3);
    const through = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
    const protobuf = answerOf(through(storedAnswer({ kind: 'protobuf', bytes })));
    expect(protobuf).toMatchObject({ kind: 'protobuf' });
    expect([...(protobuf as { bytes: Uint8Array }).bytes]).toEqual([...bytes]);
    const json = answerOf(through(storedAnswer({ kind: 'json', bytes: Buffer.from('{"loss":1e-12,"ü":"🙂"}') })));
    expect(Buffer.from((json as { bytes: Uint8Array }).bytes).toString()).toBe('{"loss":1e-12,"ü":"🙂"}');
    const failure = { error: 'no', category: 'user' } as const;
    expect(answerOf(through(storedAnswer(failure)))).toEqual(failure);
  });

  it('keeps a sample request, also beyond 2⁵³', () => {
    const request = { sampler: 's', seqId: 2n ** 60n + 1n, prompt: [1, 2], stop: ['\n'] } as unknown as SampleRequest;
    expect(sampleOf(JSON.parse(JSON.stringify(storedSample(request))))).toEqual(request);
  });
});
