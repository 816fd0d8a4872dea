/** Mixed requests against a server with adapters, each judged: whole and right, cut with a name, or wrong. */
import { randomFrom } from '../random.js';
import { ADAPTERS } from './server.js';

const NAMES = ['demo', ...ADAPTERS, 'demo:late'];
const PROMPTS = ['Tell me a story about a fox.', 'What is the sun?', 'Hello', 'Count to ten.'];
const TOKENS = 24;
/** A rank that starts under load on two cores takes some ten seconds. */
const PATIENCE_MS = 90_000;

/** One request. Relayed ones have what Node does not format itself: a message of several parts. */
interface Ask {
  readonly model: string;
  readonly prompt: string;
  readonly relayed: boolean;
  readonly stream: boolean;
}

interface Reply {
  readonly status: number;
  readonly text: string;
  /** The error document, or what went wrong without one; null: none. */
  readonly error: string | null;
}

export interface Tally {
  whole: number;
  cut: number;
  refused: number;
  /** Whole answers, by name. */
  readonly byName: Map<string, number>;
  readonly wrong: string[];
}

export class LoadMix {
  readonly tally: Tally = { whole: 0, cut: 0, refused: 0, byName: new Map(), wrong: [] };
  readonly #right = new Map<string, string>();
  readonly #random: () => number;
  #over = false;
  #workers: readonly Promise<void>[] = [];
  #waiting: (() => void)[] = [];

  constructor(
    readonly url: string,
    seed: number,
  ) {
    this.#random = randomFrom(seed);
  }

  /** Learn the right answers while nothing disturbs them; a stream must say the same as an answer at once. Returns what was wrong. */
  async learn(): Promise<void> {
    for (const relayed of [false, true]) {
      for (const prompt of PROMPTS) {
        for (const model of NAMES) {
          const reply = await this.#ask({ model, prompt, relayed, stream: false });
          if (reply.error !== null || reply.text === '')
            throw new Error(`no answer to learn: ${JSON.stringify(reply)}`);
          this.#right.set(key({ model, prompt, relayed }), reply.text);
        }
      }
    }
    const texts = new Set(NAMES.map((model) => this.#right.get(key({ model, prompt: 'Hello', relayed: false }))));
    if (texts.size !== 1 + ADAPTERS.length) throw new Error(`the adapters do not show: ${[...texts].join(' | ')}`);
  }

  start(workers: number): void {
    this.#workers = Array.from({ length: workers }, () => this.#work());
  }

  /** Resolves after so many more requests have ended, or when one ended wrongly. */
  async answered(more: number): Promise<void> {
    const { tally } = this;
    const ended = (): number => tally.whole + tally.cut + tally.refused;
    const enough = ended() + more;
    while (ended() < enough && tally.wrong.length === 0) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Resolves when the requests that run are over. */
  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#workers);
  }

  async #work(): Promise<void> {
    while (!this.#over) {
      const pick = <T>(of: readonly T[]): T => of[Math.floor(this.#random() * of.length)] as T;
      const ask = {
        model: pick(NAMES),
        prompt: pick(PROMPTS),
        relayed: this.#random() < 0.4,
        stream: this.#random() < 0.6,
      };
      const reply = await this.#ask(ask).catch(
        (thrown: unknown): Reply => ({ status: 0, text: '', error: String(thrown) }),
      );
      this.#judge(ask, reply);
      for (const tell of this.#waiting.splice(0)) tell();
    }
  }

  #judge(ask: Ask, { error, status, text }: Reply): void {
    const right = this.#right.get(key(ask)) ?? '';
    const { tally } = this;
    if (error === null && text === right) {
      tally.whole += 1;
      tally.byName.set(ask.model, (tally.byName.get(ask.model) ?? 0) + 1);
    } else if (error !== null && right.startsWith(text) && namesRank(error)) tally.cut += 1;
    else if (status === 503 && text === '' && isOpenAiError(error)) tally.refused += 1;
    else
      tally.wrong.push(
        `${JSON.stringify(ask)}: ${status} ${JSON.stringify(text)} ${error} (right: ${JSON.stringify(right)})`,
      );
  }

  async #ask({ model, prompt, relayed, stream }: Ask): Promise<Reply> {
    const text = (part: string) => ({ type: 'text', text: part });
    const content = relayed ? [text('Listen.'), text(prompt)] : prompt;
    const messages = [{ role: 'user', content }];
    const response = await fetch(`${this.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, messages, stream, temperature: 0, max_tokens: TOKENS }),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const body = await response.text();
    const { status } = response;
    if (status !== 200) return { status, text: '', error: body };
    return stream ? { status, ...readStream(body) } : { status, ...readAnswer(body) };
  }
}

const key = ({ model, prompt, relayed }: Pick<Ask, 'model' | 'prompt' | 'relayed'>): string =>
  `${model} ${relayed} ${prompt}`;

function readAnswer(body: string): Pick<Reply, 'text' | 'error'> {
  const [choice] = (JSON.parse(body) as { choices: { message: { content: string }; finish_reason: string | null }[] })
    .choices;
  const whole = choice !== undefined && choice.finish_reason !== null;
  return { text: choice?.message.content ?? '', error: whole ? null : 'an answer without a finish reason' };
}

function readStream(body: string): Pick<Reply, 'text' | 'error'> {
  let text = '';
  let finished = false;
  let error: string | null = null;
  for (const line of body.split('\n')) {
    if (!line.startsWith('data: {')) continue;
    const event = JSON.parse(line.slice('data: '.length)) as {
      error?: unknown;
      choices?: { delta: { content?: string }; finish_reason: string | null }[];
    };
    if (event.error !== undefined) error = JSON.stringify(event);
    text += event.choices?.[0]?.delta.content ?? '';
    finished ||= (event.choices?.[0]?.finish_reason ?? null) !== null;
  }
  if (error === null && !(finished && body.includes('data: [DONE]'))) error = 'the stream broke off without an error';
  return { text, error };
}

function isOpenAiError(text: string | null): boolean {
  try {
    const { error } = JSON.parse(text ?? '') as { error?: { message?: unknown; type?: unknown; code?: unknown } };
    return typeof error?.message === 'string' && typeof error.type === 'string' && typeof error.code === 'string';
  } catch {
    return false;
  }
}

/** An OpenAI error that says which rank failed. */
function namesRank(error: string): boolean {
  return isOpenAiError(error) && /rank \d/.test(error) && error.includes('rank_failed');
}
