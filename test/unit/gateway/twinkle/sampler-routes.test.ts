/** Completions over HTTP: their bodies, streams of lines, and clients that leave. */
import { request } from 'node:http';
import { describe, expect, it } from 'vitest';
import { TwinkleError } from '../../../../src/errors.js';
import { useMounted } from './mounted.js';

const mounted = useMounted();
const { detailOf, sampler } = mounted;
const inputs = [{ input_ids: [1, 2, 3] }];

const streamed = async (body: object = {}) => {
  const url = '/api/v1/sampler/demo/twinkle/sample_stream';
  const payload = { inputs, ...body };
  const answer = await mounted.app.inject({ method: 'POST', url, payload, headers: mounted.headers() });
  const lines = answer.payload.split('\n').filter((line) => line !== '');
  return {
    status: answer.statusCode,
    type: answer.headers['content-type'],
    lines: lines.map((line) => JSON.parse(line)),
  };
};

describe('sample', () => {
  it('has as many sequences as either place says, the one in the parameters before the other', async () => {
    await mounted.open();
    const count = async (body: object): Promise<unknown> => {
      const { samples } = (await sampler('sample', { inputs, ...body })).body as { samples: { sequences: [] }[] };
      return samples[0]?.sequences.length;
    };
    expect(await count({})).toBe(1);
    expect(await count({ num_samples: 3 })).toBe(3);
    expect(await count({ num_samples: 1, sampling_params: { num_samples: 2 } })).toBe(2);
    expect(await count({ num_samples: 3, sampling_params: { num_samples: 2 } })).toBe(2);
  });

  it('answers what the client’s classes read', async () => {
    await mounted.open();
    const params = { max_tokens: 2, logprobs: 1, prompt_logprobs: 1 };
    const { body } = await sampler('sample', { inputs, sampling_params: params });
    expect(body).toMatchObject({
      samples: [
        {
          sequences: [
            {
              ...{ stop_reason: 'length', tokens: [100, 101], decoded: 'w0.0 w0.1' },
              logprobs: [expect.any(Array), expect.any(Array)],
              new_input_feature: { input_ids: [1, 2, 3, 100, 101], labels: [-100, -100, 100, 101, -100] },
            },
          ],
          prompt_logprobs: [null, -0.5],
          topk_prompt_logprobs: [null, expect.any(Array)],
        },
      ],
    });
  });

  it.each([
    [{}, 'inputs'],
    [{ inputs, temperature: 1 }, 'temperature'],
    [{ inputs, num_samples: 0 }, 'num_samples'],
    [{ inputs, sampling_params: { temperature: -1 } }, 'temperature'],
    [{ inputs, sampling_params: 3 }, 'sampling_params'],
    [{ inputs, adapter_uri: '/etc/passwd' }, 'adapter_uri'],
    [{ inputs, adapter_name: 'default' }, 'is_sampler=True'],
  ])('of %j is a 400 that names it', async (body, words) => {
    await mounted.open();
    for (const call of ['sample', 'sample_stream']) {
      const answer = await sampler(call, body);
      expect([answer.status, detailOf(answer)]).toEqual([400, expect.stringContaining(words)]);
    }
  });

  it('of weights that are gone is a 404', async () => {
    await mounted.open();
    const adapter_uri = `twinkle://${mounted.session}:train:0/sampler_weights/x`;
    for (const call of ['sample', 'sample_stream'])
      expect((await sampler(call, { inputs, adapter_uri })).status, call).toBe(404);
  });
});

describe('sample_stream', () => {
  it('is lines of JSON, the last of which says why it ends', async () => {
    await mounted.open();
    const { lines, status, type } = await streamed({ sampling_params: { max_tokens: 3 } });
    expect([status, type]).toEqual([200, 'application/x-ndjson']);
    expect(lines).toEqual([
      { delta: 'w0.0', finish_reason: null },
      { delta: ' w0.1', finish_reason: null },
      { delta: ' w0.2', finish_reason: 'length' },
    ]);
  });

  it('that fails before its first line is an error with a status', async () => {
    await mounted.open();
    mounted.inference.manual = true;
    const answer = streamed();
    (await mounted.inference.call()).fail(new TwinkleError('NOT_READY', 'it restarts'));
    expect(await answer).toMatchObject({ status: 503, lines: [{ detail: 'it restarts' }] });
  });

  it('that fails later says so in its last line', async () => {
    await mounted.open();
    mounted.inference.manual = true;
    const answer = streamed();
    const call = await mounted.inference.call();
    call.send('a');
    call.fail(new TwinkleError('RANK_FAILED', 'rank 0 was killed'));
    expect(await answer).toMatchObject({
      status: 200,
      lines: [{ delta: 'a', finish_reason: null }, { error: 'rank 0 was killed' }],
    });
  });

  it('that has nothing to say has no lines', async () => {
    await mounted.open();
    mounted.inference.manual = true;
    const answer = streamed();
    (await mounted.inference.call()).finish(0);
    expect(await answer).toMatchObject({ status: 200, lines: [] });
  });
});

describe('a client that leaves', () => {
  async function leave(call: string, first: boolean): Promise<void> {
    const url = await mounted.listen();
    mounted.inference.manual = true;
    const headers = { ...mounted.headers(), 'content-type': 'application/json' };
    const sent = request(`${url}/api/v1/sampler/demo/twinkle/${call}`, { method: 'POST', headers });
    sent.on('error', () => {});
    const heard = new Promise<void>((resolve) => {
      sent.on('response', (response) => response.once('data', () => resolve()));
    });
    sent.end(JSON.stringify({ inputs }));
    const generation = await mounted.inference.call();
    if (first) {
      generation.send('a');
      await heard;
    }
    sent.destroy();
    await mounted.inference.until(() => generation.aborted);
    // What comes all the same goes nowhere.
    generation.send('late');
    generation.fail(new TwinkleError('ABORTED', 'the caller withdrew'));
  }

  it('before the answer has it given up', async () => {
    await leave('sample', false);
  });

  it('before the first line has it given up', async () => {
    await leave('sample_stream', false);
  });

  it('between two lines has it given up', async () => {
    await leave('sample_stream', true);
  });

  it('behind the last line has done no harm', async () => {
    await mounted.open();
    await streamed();
    expect(mounted.inference.calls.map(({ aborted }) => aborted)).toEqual([false]);
  });
});
