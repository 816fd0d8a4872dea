/** One request to many engines. */
import { afterEach, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { askEngine } from '../../../src/serving/ask-engine.js';
import { broadcast, commandParams, type OpenReplica, refusalText, succeeded } from '../../../src/serving/broadcast.js';
import type { Command } from '../../../src/serving/types/control.js';
import type { Channel } from '../../../src/transport/channel.js';
import { PlayedGang, until } from './played-engine.js';

afterEach(() => vi.useRealTimers());

const open = (gang: PlayedGang): OpenReplica => ({ id: gang.id, epoch: gang.epoch, lead: gang.lead as Channel });
const SLEEP: Command = { method: 'POST', path: '/sleep', query: 'level=1', body: '' };
const SOON = { deadlineMs: 60_000 };

it('reaches all, and answers replica by replica in their order', async () => {
  const good = new PlayedGang('m/0', () => ({ status: 200, body: '{"status":"sleeping"}' }));
  const bad = new PlayedGang('m/1', () => ({ status: 422, body: '{"detail":"no such level"}' }));
  const gone = new PlayedGang('m/2', () => null);
  const replicas = [good, bad, gone].map(open);
  const answers = broadcast(replicas, SLEEP, SOON);
  await until(() => gone.asked.length > 0);
  gone.crash();
  expect((await answers).map(({ body, error, replica, status }) => [replica, status, body, error?.code])).toEqual([
    ['m/0', 200, '{"status":"sleeping"}', undefined],
    ['m/1', 422, '{"detail":"no such level"}', undefined],
    ['m/2', null, '', 'RANK_FAILED'],
  ]);
  expect((await answers).map(succeeded)).toEqual([true, false, false]);
  expect(good.asked).toEqual(['POST /sleep?level=1']);
});

it('a replica that is gone already is reported, not thrown', async () => {
  const gang = new PlayedGang('m/0', () => null);
  const replica = open(gang);
  gang.crash();
  const [answer] = await broadcast([replica], SLEEP, SOON);
  expect(answer).toMatchObject({ replica: 'm/0', status: null, error: { code: 'RANK_FAILED' } });
});

it('a replica that says nothing is withdrawn from at the deadline, and the others are not', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const silent = new PlayedGang('m/0', () => null);
  const quick = new PlayedGang('m/1', () => ({ status: 200 }));
  const answers = broadcast([silent, quick].map(open), SLEEP, { deadlineMs: 1000 });
  await until(() => silent.asked.length > 0 && quick.lead?.openStreams === 0);
  vi.advanceTimersByTime(1000);
  expect((await answers).map(({ error, status }) => status ?? error?.code)).toEqual(['DEADLINE_EXCEEDED', 200]);
  await until(() => silent.aborted.length > 0);
});

it('commands arrive everywhere in the order in which they were given', async () => {
  const gangs = ['a', 'b'].map((id) => new PlayedGang(id, () => ({ status: 200 })));
  await Promise.all(
    ['/sleep', '/wake_up', '/pause'].map((path) => broadcast(gangs.map(open), { ...SLEEP, path, query: '' }, SOON)),
  );
  for (const { asked } of gangs) expect(asked).toEqual(['POST /sleep', 'POST /wake_up', 'POST /pause']);
});

it('an answer that is too long is cut off', async () => {
  const gang = new PlayedGang('m/0', () => ({ status: 200, body: 'x'.repeat(100) }));
  const asked = askEngine(gang.lead as Channel, commandParams(SLEEP), { deadlineMs: 60_000, limitBytes: 50 });
  await expect(asked).rejects.toMatchObject({ code: 'ENGINE_ERROR' });
  await until(() => gang.aborted.length > 0);
});

it('a status that HTTP does not have is no answer', async () => {
  const gang = new PlayedGang('m/0', () => ({ status: 700, body: '{}' }));
  const [answer] = await broadcast([open(gang)], SLEEP, SOON);
  expect(answer).toMatchObject({ status: null, error: { code: 'ENGINE_ANSWER', status: 502 } });
});

it('a body is JSON to the engine, in UTF-8', () => {
  const { body, headers, request_id: id } = commandParams({ ...SLEEP, body: '{"a":"é"}' });
  expect(body).toBe('{"a":"é"}');
  expect(headers).toContainEqual(['content-type', 'application/json']);
  expect(headers).toContainEqual(['content-length', '10']);
  expect(commandParams(SLEEP).request_id).not.toBe(id);
});

it.each([
  ['{"error":{"message":"rank 64 is too big"}}', 'rank 64 is too big'],
  ['{"error":"paused"}', 'paused'],
  ['{"detail":[{"loc":["query","level"]}]}', '[{"loc":["query","level"]}]'],
  ['Internal Server Error\n', 'Internal Server Error'],
  ['', 'status 500'],
  ['null', 'null'],
])('the words of %j are %j', (body, text) => {
  expect(refusalText({ replica: 'r', status: 500, body, error: null })).toBe(text);
});

it('without an answer the words are the error’s', () => {
  const error = new TwinkleError('RANK_FAILED', 'rank 0 is gone');
  expect(refusalText({ replica: 'r', status: null, body: '', error })).toBe('rank 0 is gone');
});
