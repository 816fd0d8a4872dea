import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { CliServer, runCli } from '../support/cli.js';
import { isAlive, killProcess } from '../support/gang-kit.js';

const MOCK = ['mock', '--engine', 'mock'];

const complete = (url: string, body: object): Promise<Response> =>
  fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'mock', prompt: 'go', ...body }),
  });

/** Reads the events of a stream; `until` resolves when that many have come. */
async function openStream(url: string, body: object) {
  const response = await complete(url, { stream: true, ...body });
  const events: string[] = [];
  let tell = (): void => {};
  const reading = (async () => {
    let rest = '';
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      const parts = (rest + Buffer.from(chunk).toString()).split('\n\n');
      rest = parts.pop() ?? '';
      events.push(...parts.map((part) => part.replace(/^data: /, '')));
      tell();
    }
    return events;
  })();
  const until = async (count: number): Promise<void> => {
    while (events.length < count) {
      await new Promise<void>((resolve) => {
        tell = resolve;
      });
    }
  };
  return { response, until, all: () => reading };
}

describe('serve with the mock engine', () => {
  it('answers the official client, streamed and not, and ends with 0 leaving nothing', async () => {
    await using server = await CliServer.ready([...MOCK, '--served-model-name', 'tiny', 'small']);
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'any' });
    expect((await client.models.list()).data.map(({ id }) => id)).toContain('tiny');
    const messages = [{ role: 'user', content: 'Hi' }] as const;
    const whole = await client.chat.completions.create({ model: 'tiny', messages: [...messages], max_tokens: 9 });
    let text = '';
    const stream = await client.chat.completions.create({
      model: 'small',
      messages: [...messages],
      max_tokens: 9,
      stream: true,
      stream_options: { include_usage: true },
    });
    let usage: number | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage?.completion_tokens ?? usage;
    }
    expect(text).toBe(whole.choices[0]?.message.content);
    expect(usage).toBe(9);
    await expect(client.chat.completions.create({ model: 'tinny', messages: [...messages] })).rejects.toMatchObject({
      status: 404,
      message: expect.stringContaining('did you mean `tiny`'),
    });
    const ranks = await server.rankPids();
    expect(ranks).toHaveLength(1);
    server.child.kill('SIGTERM');
    expect(await server.ended).toMatchObject({ code: 0 });
    expect(ranks.some(isAlive)).toBe(false);
  });

  it('drains on SIGTERM: not ready at once, the running stream whole, new work refused', async () => {
    await using server = await CliServer.ready([...MOCK, '--step-ms', '20']);
    const stream = await openStream(server.url, { max_tokens: 60 });
    await stream.until(3);
    server.child.kill('SIGTERM');
    await server.event('draining');
    expect((await fetch(`${server.url}/readyz`)).status).toBe(503);
    const refused = await complete(server.url, {});
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
    const events = await stream.all();
    expect(events.at(-1)).toBe('[DONE]');
    expect(events).toHaveLength(61);
    expect(await server.ended).toMatchObject({ code: 0 });
  });

  it('ends at once on the second signal, and says what became of the stream', async () => {
    await using server = await CliServer.ready([...MOCK, '--step-ms', '20']);
    const stream = await openStream(server.url, { max_tokens: 4000 });
    await stream.until(3);
    const ranks = await server.rankPids();
    server.child.kill('SIGTERM');
    await server.event('draining');
    server.child.kill('SIGTERM');
    expect(await server.ended).toMatchObject({ code: 143 });
    expect((await stream.all()).at(-1)).toMatch(/"error"/);
    expect(ranks.some(isAlive)).toBe(false);
  });

  it('ends at the shutdown timeout when a stream will not', async () => {
    await using server = await CliServer.ready([...MOCK, '--step-ms', '20', '--shutdown-timeout', '0.2']);
    const stream = await openStream(server.url, { max_tokens: 4000 });
    await stream.until(3);
    server.child.kill('SIGINT');
    const { code } = await server.ended;
    expect(code).not.toBe(0);
  });

  it('leaves no process one second after Node was killed with -9', async () => {
    const server = await CliServer.ready([...MOCK, '-tp', '3', '-dp', '2']);
    const ranks = await server.rankPids();
    expect(ranks).toHaveLength(6);
    server.child.kill('SIGKILL');
    await server.ended;
    const deadline = performance.now() + 1000;
    while (ranks.some(isAlive) && performance.now() < deadline) await new Promise((resolve) => setImmediate(resolve));
    expect(ranks.filter(isAlive)).toEqual([]);
    // The next start ignores what the dead one left, and so does `status`.
    expect((await runCli(['status', '--json'], { TWINKLE_HOME: server.home })).code).not.toBe(2);
    rmSync(server.home, { recursive: true, force: true });
  });

  it('tells a stream of a killed rank which rank and why, and serves what waited', async () => {
    await using server = await CliServer.ready([...MOCK, '--step-ms', '10', '--max-num-seqs', '1']);
    const stream = await openStream(server.url, { max_tokens: 4000 });
    await stream.until(3);
    const waiting = Array.from({ length: 4 }, () => complete(server.url, { max_tokens: 3 }));
    const [rank = 0] = await server.rankPids();
    killProcess(rank, 'SIGKILL');
    const last = (await stream.all()).at(-1) ?? '';
    expect(JSON.parse(last)).toMatchObject({
      error: { code: 'rank_failed', message: expect.stringMatching(/rank 0.*SIGKILL/) },
    });
    const answers = await Promise.all(waiting);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toMatch(/twinkle_gang_restarts_total\{[^}]*\} 1/);
  });

  it('frees the slot of a client that has gone', async () => {
    await using server = await CliServer.ready([...MOCK, '--step-ms', '5', '--max-num-seqs', '1']);
    const controller = new AbortController();
    const body = JSON.stringify({ model: 'mock', prompt: 'go', max_tokens: 4000, stream: true });
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${server.url}/v1/completions`, {
      method: 'POST',
      headers,
      body,
      signal: controller.signal,
    });
    await response.body?.getReader().read();
    controller.abort();
    expect((await complete(server.url, { max_tokens: 2 })).status).toBe(200);
  });

  it.each([
    [
      'a port in use',
      6,
      async () => {
        const taken = createServer().listen(0, '127.0.0.1');
        await once(taken, 'listening');
        const { port } = taken.address() as { port: number };
        return { args: [...MOCK, '--port', String(port)], close: () => taken.close(), words: String(port) };
      },
    ],
    [
      'a crash loop',
      5,
      async () => ({ args: [...MOCK, '--fault', 'exit:9@load'], close() {}, words: 'exited with code 9' }),
    ],
    ['an unknown flag', 2, async () => ({ args: [...MOCK, '--prot', '1'], close() {}, words: '--port' })],
    [
      'devices that are not there',
      4,
      async () => ({ args: [...MOCK, '--gpus', '0-1'], close() {}, words: 'libnvidia-ml' }),
    ],
    [
      'more than this machine has',
      3,
      async () => ({
        args: [...MOCK, '--num-cpus', '1', '--replica-cpus', '2'],
        close() {},
        words: 'no place for mock/0',
      }),
    ],
    [
      'a Python that is not there',
      2,
      async () => ({ args: [...MOCK, '--python', '/nowhere/python'], close() {}, words: '/nowhere/python' }),
    ],
  ] as const)('ends on %s with exit code %i and what to do', async (_what, code, prepare) => {
    const { args, close, words } = await prepare();
    const server = CliServer.start(args);
    const end = await server.ended;
    close();
    rmSync(server.home, { recursive: true, force: true });
    expect(end.stderr + end.stdout).toContain(words);
    expect(end.code).toBe(code);
  });

  it('reserves exactly the fake devices it was told to use, and shows them', async () => {
    await using server = await CliServer.ready([...MOCK, '--gpus', '2-3', '-tp', '2'], {
      TWINKLE_FAKE_DEVICES: 'gpu:8',
    });
    const { stdout } = await runCli(['status', '--json'], { TWINKLE_HOME: server.home });
    // Of its ranks, and by device.
    expect(new Set(stdout.match(/GPU-fake-[\w-]+/g)).size).toBe(2);
  });

  it('prints its plan without starting anything', async () => {
    const home = mkdtempSync(join(tmpdir(), 'twinkle-e2e-'));
    const end = await runCli(['serve', ...MOCK, '-tp', '2', '--dry-run', '--json'], { TWINKLE_HOME: home });
    expect(end.code).toBe(0);
    expect(end.stdout).toContain('"WORLD_SIZE"');
    expect(readdirSync(home)).toEqual([]);
    rmSync(home, { recursive: true, force: true });
  });
});
