/** What only real sockets show: disconnects, slow readers, reuse, pipelining, HTTP/1.0, keep-alive, close. */
import { connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { closeLater, eventsOf, listening } from './harness.js';

function post(url: string, body: object, version = '1.1'): string {
  const text = JSON.stringify(body);
  return `POST ${url} HTTP/${version}\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
}

/** A raw client that keeps what it got. */
class Client {
  text = '';
  ended = false;
  private readonly waiting = new Set<() => void>();
  private constructor(readonly socket: Socket) {
    const changed = (): void =>
      [...this.waiting].forEach((look) => {
        look();
      });
    socket.setEncoding('utf8');
    socket.on('data', (data: string) => {
      this.text += data;
      changed();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.ended = true;
      changed();
    });
  }

  static open(port: number): Client {
    const client = new Client(connect(port, '127.0.0.1'));
    closeLater(async () => {
      client.socket.destroy();
    });
    return client;
  }

  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!condition()) return;
        this.waiting.delete(look);
        resolve();
      };
      this.waiting.add(look);
      look();
    });
  }
}

/** Undo chunked framing of one or more answers; throws on a wrong length. */
function unchunk(text: string): { head: string; body: string }[] {
  const answers: { head: string; body: string }[] = [];
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    const split = rest.indexOf('\r\n\r\n');
    const head = rest.subarray(0, split).toString();
    rest = rest.subarray(split + 4);
    let body = '';
    for (;;) {
      const line = rest.indexOf('\r\n');
      const size = Number.parseInt(rest.subarray(0, line).toString(), 16);
      body += rest.subarray(line + 2, line + 2 + size).toString();
      expect(rest.subarray(line + 2 + size, line + 4 + size).toString()).toBe('\r\n');
      rest = rest.subarray(line + 4 + size);
      if (size === 0) break;
    }
    answers.push({ head, body });
  }
  return answers;
}

const STREAM = { prompt: 'a', stream: true, max_tokens: 3 };
const ENDED = '0\r\n\r\n';
const count = (text: string, part: string): number => text.split(part).length - 1;

test('a client that leaves a stream ends its generation at once', async () => {
  const { port, inference } = await listening();
  inference.manual = true;
  const client = Client.open(port);
  client.socket.write(post('/v1/completions', { ...STREAM, prompt: ['a', 'b'] }));
  const first = await inference.call(0);
  const second = await inference.call(1);
  first.send('one');
  await client.until(() => client.text.includes('"one"'));
  expect(first.aborted).toBe(false);
  client.socket.destroy();
  await inference.until(() => first.aborted && second.aborted);
});

test.each([true, false])(
  'a client that leaves before the first token ends its generation (stream: %s)',
  async (stream) => {
    const { port, inference } = await listening();
    inference.manual = true;
    const client = Client.open(port);
    client.socket.write(post('/v1/chat/completions', { messages: [{ role: 'user', content: 'x' }], stream }));
    const call = await inference.call();
    client.socket.end();
    await inference.until(() => call.aborted);
  },
);

test('a slow reader pauses the generation, and reading resumes it', async () => {
  const { port, inference } = await listening();
  inference.manual = true;
  const client = Client.open(port);
  client.socket.pause();
  client.socket.write(post('/v1/completions', STREAM));
  const call = await inference.call();
  const word = `é${'x'.repeat(50_000)}`;
  let sent = 0;
  const pump = (): void => {
    if (call.paused || call.aborted) return;
    call.send(word);
    sent += 1;
    setImmediate(pump);
  };
  pump();
  await inference.until(() => call.paused);
  const atPause = sent;
  client.socket.resume();
  await inference.until(() => !call.paused);
  expect(call.pauses).toEqual([true, false]);
  call.send('last', { finish: 'stop' });
  call.finish();
  await client.until(() => client.text.endsWith(ENDED));
  const [answer] = unchunk(client.text);
  const texts = eventsOf(answer?.body ?? '').slice(0, -1) as { choices: { text: string }[] }[];
  expect(texts.map(({ choices: [choice] }) => choice?.text)).toEqual([...Array(atPause).fill(word), 'last']);
});

test('a connection is used again after a stream', async () => {
  const { port } = await listening();
  const client = Client.open(port);
  client.socket.write(post('/v1/completions', STREAM));
  await client.until(() => count(client.text, ENDED) === 1);
  client.socket.write(post('/v1/completions', { ...STREAM, prompt: 'é' }));
  await client.until(() => count(client.text, ENDED) === 2);
  const answers = unchunk(client.text);
  expect(answers).toHaveLength(2);
  for (const { body, head } of answers) {
    expect(head).toMatch(/^HTTP\/1.1 200 OK/);
    expect(head.toLowerCase()).toContain('transfer-encoding: chunked');
    expect(eventsOf(body)).toHaveLength(4);
  }
});

test('tokens of one turn are one write, and still an event each', async () => {
  const { port, inference } = await listening();
  inference.manual = true;
  const client = Client.open(port);
  client.socket.write(post('/v1/completions', STREAM));
  const call = await inference.call();
  for (const word of ['a', 'é', 'c']) call.send(word);
  await client.until(() => client.text.includes('"c"'));
  const [, chunks] = client.text.split('\r\n\r\n');
  const [size, data, rest] = (chunks ?? '').split('\r\n');
  expect(Number.parseInt(size ?? '', 16)).toBe(Buffer.byteLength(data ?? ''));
  expect(eventsOf(data ?? '')).toHaveLength(3);
  expect(rest).toBe('');
  call.finish();
  await client.until(() => client.text.endsWith(ENDED));
});

test('pipelined streams are answered in order and whole', async () => {
  const { port, inference } = await listening();
  inference.manual = true;
  const client = Client.open(port);
  client.socket.write(post('/v1/completions', STREAM) + post('/v1/completions', STREAM));
  const second = await inference.call(1);
  const first = await inference.call(0);
  second.send('second');
  second.finish();
  first.send('first');
  first.finish();
  await client.until(() => count(client.text, ENDED) === 2);
  expect(unchunk(client.text).map(({ body }) => eventsOf(body))).toMatchObject([
    [{ choices: [{ text: 'first' }] }, '[DONE]'],
    [{ choices: [{ text: 'second' }] }, '[DONE]'],
  ]);
});

test('a pipelined request that waits for its turn is ended with its connection', async () => {
  const { port, inference, app } = await listening();
  inference.manual = true;
  const client = Client.open(port);
  client.socket.write(post('/v1/completions', STREAM) + post('/v1/completions', STREAM));
  const second = await inference.call(1);
  client.socket.destroy();
  await inference.until(() => second.aborted && inference.calls[0]?.aborted === true);
  const load = await app.inject('/load');
  expect(load.json()).toEqual({ server_load: 0 });
});

test('HTTP/1.0 gets a plain body that ends with the connection', async () => {
  const { port } = await listening();
  const client = Client.open(port);
  client.socket.write(post('/v1/completions', STREAM, '1.0'));
  await client.until(() => client.ended);
  const [head, ...blocks] = client.text.split('\r\n\r\n');
  expect(head?.toLowerCase()).not.toContain('transfer-encoding');
  expect(eventsOf(blocks.join('\r\n\r\n'))).toHaveLength(4);
  expect(client.text.endsWith('data: [DONE]\n\n')).toBe(true);
});

test('a silent stream gets comments, also before its first token', async () => {
  const { port, inference } = await listening({ keepAliveMs: 20 });
  inference.manual = true;
  const client = Client.open(port);
  client.socket.write(post('/v1/completions', STREAM));
  const call = await inference.call();
  await client.until(() => count(client.text, ': keep-alive\n\n') >= 2);
  expect(client.text).toMatch(/^HTTP\/1.1 200 OK/);
  call.fail(new TwinkleError('RANK_FAILED', 'rank 0 ended'));
  await client.until(() => client.text.endsWith(ENDED));
  expect(client.text).toContain('"code":"rank_failed"');
});

test('closing ends streams with an event and plain requests with 503, then nothing is left', async () => {
  const { port, inference, app } = await listening();
  inference.manual = true;
  const stream = Client.open(port);
  const plain = Client.open(port);
  const idle = Client.open(port);
  stream.socket.write(post('/v1/completions', STREAM));
  const call = await inference.call(0);
  call.send('one');
  plain.socket.write(post('/v1/completions', { prompt: 'a' }));
  const other = await inference.call(1);
  await stream.until(() => stream.text.includes('"one"'));
  await app.close();
  await Promise.all([stream, plain, idle].map((client) => client.until(() => client.ended)));
  expect(eventsOf(unchunk(stream.text)[0]?.body ?? '').at(-1)).toMatchObject({ error: { code: 'draining' } });
  expect(plain.text).toMatch(/^HTTP\/1.1 503/);
  expect(plain.text.toLowerCase()).toContain('retry-after: 5');
  expect([call.aborted, other.aborted]).toEqual([true, true]);
});

test('bytes that are no HTTP get an OpenAI error', async () => {
  const { port } = await listening();
  const client = Client.open(port);
  client.socket.write('nonsense\r\n\r\n');
  await client.until(() => client.ended);
  expect(client.text).toMatch(/^HTTP\/1.1 400 Bad Request/);
  expect(JSON.parse(client.text.split('\r\n\r\n')[1] ?? '')).toMatchObject({ error: { code: 'invalid_request' } });
});
