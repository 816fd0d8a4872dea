/** Which stored response a request is about, and which one an answer makes. */
import { describe, expect, it } from 'vitest';
import { hearingId, ResponseHomes, referenceOf } from '../../../src/serving/stored-responses.js';
import type { HttpSink } from '../../../src/serving/types.js';

describe('a request', () => {
  const body = (fields: object): string => JSON.stringify({ input: 'x', ...fields });
  it.each([
    ['/v1/responses', body({}), null],
    ['/v1/responses', body({ previous_response_id: 'resp_1' }), { id: 'resp_1', control: false }],
    ['/v1/responses', body({ previous_response_id: null }), null],
    ['/v1/responses', body({ input: 'say "previous_response_id": "resp_2"' }), null],
    ['/v1/responses', '{"previous_response_id": "cut', null],
    ['/v1/responses', 'null "previous_response_id"', null],
    ['/v1/responses/render', body({ previous_response_id: 'resp_1' }), { id: 'resp_1', control: false }],
    ['/v1/responses/render', body({}), null],
    ['/v1/responses/resp_1', '', { id: 'resp_1', control: true }],
    ['/v1/responses/resp_1/cancel', '', { id: 'resp_1', control: true }],
    ['/v1/messages', body({ previous_response_id: 'resp_1' }), null],
  ])('to %s with %s is about %o', (path, text, reference) => {
    expect(referenceOf({ path, body: text })).toEqual(reference);
  });
});

describe('an answer', () => {
  function heardOf(parts: readonly string[], status = 200, path = '/v1/responses'): string[] {
    const heard: string[] = [];
    const passed: string[] = [];
    const sink: HttpSink = {
      delta: ({ body: bytes }) => void passed.push(Buffer.from(bytes).toString()),
      end: () => void passed.push('end'),
      error() {},
    };
    const hears = hearingId({ method: 'POST', path }, sink, (id) => heard.push(id));
    parts.forEach((part, at) => {
      hears.delta({ body: Buffer.from(part), ...(at === 0 ? { status, headers: [] } : {}) });
    });
    hears.end(null);
    expect(passed).toEqual([...parts, 'end']);
    return heard;
  }

  it.each([
    ['whole', ['{"id":"resp_1","output":[{"id":"msg_1"}]}']],
    ['in pieces', ['{"i', 'd": "resp', '_1","output":[{"id":"msg_1"}]}']],
    ['streamed', ['', 'event: response.created\ndata: {"response":{"id":"resp_1"}}\n\n', 'data: {"id":"resp_2"}\n\n']],
  ])('says its id once when it comes %s', (_how, parts) => {
    expect(heardOf(parts)).toEqual(['resp_1']);
  });

  it.each([
    ['an error', ['{"id":"resp_1"}'], 404, '/v1/responses'],
    ['of another route', ['{"id":"chatcmpl-1"}'], 200, '/v1/chat/completions'],
    ['with its id far behind', [`{"text":"${' '.repeat(600)}"`, ',"id":"resp_1"}'], 200, '/v1/responses'],
    ['with an id that no path can carry', ['{"id":"a/b"}'], 200, '/v1/responses'],
  ])('has none when it is %s', (_what, parts, status, path) => {
    expect(heardOf(parts, status, path)).toEqual([]);
  });
});

it('the oldest response is forgotten first, and one that is kept again is young', () => {
  const homes = new ResponseHomes(2);
  const home = { replica: 'r', epoch: 1 };
  for (const id of ['a', 'b', 'a', 'c']) homes.keep(id, home);
  expect([homes.of('a'), homes.of('b'), homes.of('c')]).toEqual([home, null, home]);
});
