/** An `Inference` for gateway tests: deterministic words, or whatever a test sends by hand; records what the gateway asked of it. */
import { TwinkleError } from '../../../src/errors.js';
import { NEUTRAL_DEFAULTS } from '../../../src/protocol/defaults.js';
import type {
  DetokenizeParams,
  DetokenizeResult,
  GenerateParams,
  HttpParams,
  HttpPart,
  ModelCard,
  PromptInfo,
  TokenDelta,
  TokenizeParams,
  TokenizeResult,
  TokenLogprob,
} from '../../../src/protocol/values.js';
import type {
  Caller,
  Generation,
  HttpSink,
  Inference,
  ReplicaStatus,
  ServedModel,
  TokenSink,
} from '../../../src/serving/types.js';

export const CARD: ModelCard = {
  engine: 'mock',
  model: 'some/folder',
  max_model_len: 512,
  max_num_seqs: 8,
  vocab_size: 1000,
  dtype: 'float32',
  device: 'cpu',
  parameters: 0,
  chat_template: true,
  routes: [],
  relay_chat: false,
  relay_completions: false,
  sampling_defaults: NEUTRAL_DEFAULTS,
  system_fingerprint: null,
  adapters: false,
};

const REPLICA: ReplicaStatus = {
  id: 'demo-0',
  state: 'ready',
  epoch: 1,
  restarts: 2,
  inFlight: 3,
  group: null,
  stats: { running: 1, waiting: 4, kv_usage: 0.5, steps: 9, prompt_tokens: 10, generation_tokens: 20 },
  ranks: [{ rank: 0, pid: 123, devices: [], log: '/logs/demo-0-rank0.log' }],
};

export function servedModel(overrides: Partial<ServedModel> = {}): ServedModel {
  return {
    names: ['demo', 'alias/with-slash'],
    created: 1_760_000_000,
    state: 'ready',
    card: CARD,
    progress: null,
    reason: null,
    replicas: [REPLICA],
    ...overrides,
  };
}

/** Token `index` of choice `choice`, as every automatic generation sends it. */
export const wordOf = (choice: number, index: number): string => `${index === 0 ? '' : ' '}w${choice}.${index}`;

export function logprobOf(token: string, alternatives: number): TokenLogprob {
  const bytes = [...Buffer.from(token)];
  return {
    token_id: token.length,
    token,
    bytes,
    logprob: -0.5,
    top: Array.from({ length: alternatives }, (_, index) => [index, `alt${index}`, [97], -1 - index]),
  };
}

/** Anything that the gateway has under way. */
class FakeWork<Params, Sink> implements Generation {
  aborted = false;
  readonly pauses: boolean[] = [];
  paused = false;
  over = false;
  constructor(
    readonly model: string | null,
    readonly params: Params,
    readonly sink: Sink,
    readonly caller: Caller,
    private readonly changed: () => void,
  ) {}

  abort(): void {
    this.aborted = true;
    this.changed();
  }

  pause(paused: boolean): void {
    this.paused = paused;
    this.pauses.push(paused);
    this.changed();
  }
}

/** One `relay` of the gateway; the test plays the engine's server. */
export class FakeRelay extends FakeWork<HttpParams, HttpSink> {
  width: number | undefined;

  /** The first part, or with no status a later one. */
  part(body: string | Uint8Array, status?: number, headers: [string, string][] = []): void {
    const part: HttpPart = { body: typeof body === 'string' ? Buffer.from(body) : body };
    this.sink.delta(status === undefined ? part : { ...part, status, headers });
  }

  /** A whole JSON answer. */
  answer(status: number, body: unknown, headers: [string, string][] = []): void {
    this.part(JSON.stringify(body), status, [['content-type', 'application/json'], ...headers]);
    this.finish();
  }

  /** The head of an event stream. */
  events(body = ''): void {
    this.part(body, 200, [['content-type', 'text/event-stream; charset=utf-8']]);
  }

  finish(): void {
    this.over = true;
    this.sink.end(null);
  }

  fail(error: TwinkleError): void {
    this.over = true;
    this.sink.error(error);
  }
}

/** One `generate` of the gateway. */
export class FakeCall extends FakeWork<GenerateParams, TokenSink> {
  send(text: string, extra: Partial<TokenDelta> = {}): void {
    this.sink.delta({ choice: 0, text, token_ids: [1], ...extra });
  }

  finish(completionTokens = 1): void {
    this.over = true;
    this.sink.end({ prompt_tokens: 3, completion_tokens: completionTokens, cached_tokens: 1 });
  }

  fail(error: TwinkleError): void {
    this.over = true;
    this.sink.error(error);
  }
}

const promptText = (params: GenerateParams): string =>
  params.prompt.text ?? params.prompt.token_ids?.join(' ') ?? JSON.stringify(params.prompt.messages);

export class FakeInference implements Inference {
  accepting = true;
  served: ServedModel[] = [servedModel()];
  readonly calls: FakeCall[] = [];
  readonly relays: FakeRelay[] = [];
  /** Set: thrown by `generate` and `relay`. */
  refusal: TwinkleError | null = null;
  /** What `loaded` waits for. */
  loading: Promise<void> = Promise.resolve();
  /** True: nothing is sent but by the test. */
  manual = false;
  /** Stored response → its model. */
  readonly homes = new Map<string, string>();
  private readonly watchers = new Set<() => void>();

  models(): readonly ServedModel[] {
    return this.served;
  }

  find(name: string | null): ServedModel {
    const found = this.served.find(({ names }) => name === null || name === '' || names.includes(name));
    if (found !== undefined) return found;
    throw new TwinkleError('MODEL_NOT_FOUND', `There is no model ${name}: GET /v1/models lists them.`, {
      param: 'model',
    });
  }

  generate(model: string | null, params: GenerateParams, sink: TokenSink, caller: Caller): Generation {
    this.find(model);
    if (this.refusal !== null) throw this.refusal;
    const call = new FakeCall(model, params, sink, caller, () => this.changed());
    this.calls.push(call);
    if (!this.manual) setImmediate(() => this.step(call, 0));
    this.changed();
    return call;
  }

  async loaded(model: string | null): Promise<ModelCard> {
    const { card } = await this.loading.then(() => this.find(model));
    if (this.refusal !== null) throw this.refusal;
    if (card !== null) return card;
    throw new TwinkleError('NOT_READY', 'The model has not been loaded.', { retryAfterMs: 1000 });
  }

  relay(model: string | null, params: HttpParams, sink: HttpSink, caller: Caller, width?: number): Generation {
    this.find(model);
    if (this.refusal !== null) throw this.refusal;
    const relay = new FakeRelay(model, params, sink, caller, () => this.changed());
    relay.width = width;
    this.relays.push(relay);
    this.changed();
    return relay;
  }

  modelOfResponse(id: string): string | null {
    return this.homes.get(id) ?? null;
  }

  tokenize(model: string | null, { prompt, with_tokens }: TokenizeParams): Promise<TokenizeResult> {
    this.find(model);
    const tokens = (prompt.text ?? JSON.stringify(prompt.messages)).split(' ');
    return Promise.resolve({
      token_ids: tokens.map(({ length }) => length),
      tokens: with_tokens ? tokens : null,
      max_model_len: CARD.max_model_len,
    });
  }

  detokenize(model: string | null, { token_ids }: DetokenizeParams): Promise<DetokenizeResult> {
    this.find(model);
    return Promise.resolve({ text: token_ids.map((id) => `t${id}`).join('') });
  }

  /** Resolves when `condition` holds; looked at whenever the gateway does something. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!condition()) return;
        this.watchers.delete(look);
        resolve();
      };
      this.watchers.add(look);
      look();
    });
  }

  /** The call of that index, as soon as it is there. */
  async call(index = 0): Promise<FakeCall> {
    await this.until(() => this.calls.length > index);
    return this.calls[index] as FakeCall;
  }

  /** The relay of that index, as soon as it is there. */
  async relayed(index = 0): Promise<FakeRelay> {
    await this.until(() => this.relays.length > index);
    return this.relays[index] as FakeRelay;
  }

  private changed(): void {
    for (const look of [...this.watchers]) look();
  }

  private step(call: FakeCall, index: number): void {
    if (call.aborted) return;
    const { echo, n, sampling } = call.params;
    const total = sampling.max_tokens ?? 4;
    const wanted = sampling.prompt_logprobs;
    for (let choice = 0; choice < n && !call.aborted; choice += 1) {
      const text = wordOf(choice, index);
      const shown = promptText(call.params);
      const prompt: PromptInfo = {
        token_ids: [7, 8, 9],
        text: shown,
        logprobs:
          wanted === null ? null : [{ ...logprobOf(shown, wanted), logprob: null, top: [] }, logprobOf('b', wanted)],
      };
      call.sink.delta({
        choice,
        text,
        token_ids: [100 + index],
        ...(sampling.logprobs === null ? {} : { logprobs: [logprobOf(text, sampling.logprobs)] }),
        ...(index === 0 && choice === 0 && (echo || wanted !== null) ? { prompt } : {}),
        ...(index === total - 1 ? { finish: 'length' } : {}),
      });
    }
    if (call.aborted) return;
    if (index === total - 1) call.finish(total * n);
    else setImmediate(() => this.step(call, index + 1));
  }
}
