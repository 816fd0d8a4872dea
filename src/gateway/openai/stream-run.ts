/** A request answered by SSE: deltas become chunks as they come, one event per delta. */
import type { OutgoingHttpHeaders } from 'node:http';
import type { TwinkleError } from '../../errors.js';
import type { TokenDelta } from '../../protocol/values.js';
import { errorBody } from '../http/error-reply.js';
import { EventStream, type EventStreamOwner } from '../sse/event-stream.js';
import { Run, type RunRequest, type Usage } from './run.js';

/** Turns deltas into SSE events; one per request, because it holds the request's ready-made text. */
export interface ChunkRenderer {
  /** Events before the first delta. */
  open(): string;
  /** Events of one delta; may be empty. */
  delta(prompt: number, delta: TokenDelta): string;
  /** Events after the last delta, `[DONE]` left out. */
  close(usage: Usage): string;
}

/**
 * The head is held back until the first delta, so that errors before it keep their HTTP status. Only a request that waits
 * longer than the keep-alive period gets its head early, because proxies give up on silent connections.
 */
export class StreamRun extends Run implements EventStreamOwner {
  private stream: EventStream | null = null;
  private waited = false;
  private lastWrite = 0;

  constructor(
    request: RunRequest,
    private readonly renderer: ChunkRenderer,
  ) {
    super(request);
  }

  slow(slow: boolean): void {
    if (!this.over) this.pause(slow);
  }

  written(now: number): void {
    if (this.lastWrite !== 0) this.meter.betweenTokens.observe((now - this.lastWrite) / 1e3);
    this.lastWrite = now;
  }

  keepAlive(): void {
    if (this.stream !== null) this.stream.keepAlive();
    else if (this.waited && !this.over) this.open().keepAlive();
    this.waited = true;
  }

  override disconnected(): void {
    super.disconnected();
    this.stream?.drop();
  }

  protected accept(prompt: number, delta: TokenDelta): void {
    const stream = this.stream ?? this.open();
    const events = this.renderer.delta(prompt, delta);
    if (events !== '') stream.push(events);
  }

  protected complete(usage: Usage): void {
    const stream = this.stream ?? this.open();
    stream.push(`${this.renderer.close(usage)}data: [DONE]\n\n`);
    stream.end();
  }

  protected fail(error: TwinkleError): void {
    if (this.stream === null) {
      this.request.reply.send(error);
      return;
    }
    const { call, context } = this.request;
    context.logger?.error({ request_id: call.requestId, code: error.code, err: error }, 'stream_failed');
    this.stream.push(`data: ${errorBody(error)}\n\n`);
    this.stream.end();
  }

  private open(): EventStream {
    const { context, reply } = this.request;
    reply.hijack();
    const stream = new EventStream(reply.raw, context.queue, this);
    this.stream = stream;
    stream.open(reply.getHeaders() as OutgoingHttpHeaders);
    stream.push(this.renderer.open());
    return stream;
  }
}
