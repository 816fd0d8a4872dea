import { expect, it } from 'vitest';
import { jsonAnswer, passAnswer, passFailure, tokensOf, tracked } from '../../../src/training/run-answers.js';
import { FakeTrainer, outcome } from './fake-trainer.js';

const work = { run: 'r', loss: 'x', config: {}, forward_only: false, tokens: Buffer.of(), lengths: [], inputs: [] };

it('a tracked operation tells once that it is over, behind its own end', async () => {
  const heard: string[] = [];
  const say = (what: string) => (): void => {
    heard.push(what);
  };
  const pass = tracked(
    { kind: 'pass', work, tokens: 1, sent() {}, done: say('done'), failed: say('failed') },
    say('over'),
  );
  if (pass.kind === 'pass') pass.done(outcome());
  pass.failed(new Error());
  const send = async (): Promise<void> => say('sent')();
  const call = tracked({ kind: 'call', sent() {}, send, failed: say('failed') }, say('over'));
  if (call.kind === 'call') await call.send(new FakeTrainer());
  expect(heard).toEqual(['done', 'over', 'failed', 'over', 'sent', 'over']);
});

it('a tracked call that fails is over only when its failure is told', async () => {
  const heard: string[] = [];
  const send = async (): Promise<void> => {
    throw new Error('broken');
  };
  const call = tracked({ kind: 'call', sent() {}, send, failed: () => heard.push('failed') }, () => heard.push('over'));
  if (call.kind === 'call') await call.send(new FakeTrainer()).catch((error: unknown) => call.failed(error));
  expect(heard).toEqual(['failed', 'over']);
});

it('answers are JSON, messages, or failures of whoever is at fault', () => {
  expect(Buffer.from(jsonAnswer({ a: 1 }).bytes).toString()).toBe('{"a":1}');
  expect(passAnswer(outcome())).toMatchObject({ kind: 'protobuf' });
  for (const [user, category, status] of [
    [true, 'user', 400],
    [false, 'server', 500],
  ] as const) {
    expect(passAnswer(outcome({ failure: { message: 'why', user } }))).toEqual({ error: 'why', category });
    expect(passFailure({ message: 'why', user })).toMatchObject({ message: 'why', status });
  }
});

it('tokens of a work are those of all its datums', () => {
  expect(tokensOf({ lengths: [3, 0, 4] })).toBe(7);
});
