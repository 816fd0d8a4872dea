/** Plain HTTP against a running server, as a client without a library sees it: JSON in, JSON or events out. */

const METRIC_PATIENCE_MS = 20_000;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: what a body holds is what the test asserts
  readonly json: any;
}

/** POST `body` as JSON; a string or bytes go out as they are. */
export async function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const raw = typeof body === 'string' || body instanceof Uint8Array;
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: raw ? (body as string | Uint8Array<ArrayBuffer>) : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: parsed(text) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The `data:` fields of a whole event stream. */
export function eventsOf(body: string): string[] {
  return body
    .split('\n\n')
    .filter((part) => part.startsWith('data: '))
    .map((part) => part.slice('data: '.length));
}

/** The text of choice 0 in the events of a completion or a chat. */
export function textOf(events: readonly string[]): string {
  return events
    .filter((event) => event.startsWith('{'))
    .map((event) => JSON.parse(event).choices?.[0])
    .map((choice) => choice?.delta?.content ?? choice?.text ?? '')
    .join('');
}

/** A stream being read. */
export class EventReader {
  readonly events: string[] = [];
  /** Every event; rejects when the connection breaks. */
  readonly all: Promise<string[]>;
  #tell: () => void = () => {};
  #over = false;

  private constructor(
    readonly response: Response,
    readonly controller: AbortController,
  ) {
    this.all = this.#read();
    this.all.catch(() => {}); // whoever awaits it sees it
  }

  /** POST with `stream: true`; resolves with the head of the answer. */
  static async open(url: string, body: object): Promise<EventReader> {
    const controller = new AbortController();
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...body, stream: true }),
      signal: controller.signal,
    });
    return new EventReader(response, controller);
  }

  /** Resolves when that many events have come; rejects when the stream ends before. */
  async until(count: number): Promise<void> {
    while (this.events.length < count) {
      if (this.#over) throw new Error(`the stream ended after ${this.events.length} events: ${this.events.join('\n')}`);
      await new Promise<void>((resolve) => {
        this.#tell = resolve;
      });
    }
  }

  async #read(): Promise<string[]> {
    const decoder = new TextDecoder();
    let rest = '';
    try {
      for await (const chunk of this.response.body as unknown as AsyncIterable<Uint8Array>) {
        rest += decoder.decode(chunk, { stream: true });
        const end = rest.lastIndexOf('\n\n');
        if (end < 0) continue;
        this.events.push(...eventsOf(rest.slice(0, end)));
        rest = rest.slice(end + 2);
        this.#tell();
      }
      return this.events;
    } finally {
      this.#over = true;
      this.#tell();
    }
  }
}

/** The sum of a metric's samples; null when it has none. */
export async function metric(url: string, name: string, headers: Record<string, string> = {}): Promise<number | null> {
  const lines = (await (await fetch(`${url}/metrics`, { headers })).text()).split('\n');
  const samples = lines.filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return samples.length === 0 ? null : samples.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** Ask /metrics until the metric has that value; rejects when it never does. */
export async function untilMetric(
  url: string,
  name: string,
  value: number,
  headers: Record<string, string> = {},
): Promise<void> {
  const deadline = performance.now() + METRIC_PATIENCE_MS;
  let last = await metric(url, name, headers);
  while (last !== value) {
    if (performance.now() > deadline) throw new Error(`${name} stays ${last}, expected ${value}`);
    last = await metric(url, name, headers);
  }
}
