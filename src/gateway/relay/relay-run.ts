/** One relayed request at work: its answer written through as it comes, or sent whole, and its end by error, disconnect or shutdown. */
import type { OutgoingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { TwinkleError } from '../../errors.js';
import type { HttpParams, HttpPart } from '../../protocol/values.js';
import type { Generation, HttpSink, ServedModel } from '../../serving/types.js';
import { isAnswerStatus } from '../../util/http-status.js';
import type { GatewayContext } from '../context.js';
import { callOf } from '../http/call.js';
import { errorShapeOf } from '../http/error-reply.js';
import { EventStream, type EventStreamOwner } from '../sse/event-stream.js';
import type { LiveResponse } from '../sse/live-responses.js';
import { WholeEvents } from '../sse/whole-events.js';
import { headersToClient } from './headers.js';
import { RelayMeter } from './relay-meter.js';

/** Who asks for what. */
export interface RelayRequest {
  readonly context: GatewayContext;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly model: ServedModel;
  readonly params: HttpParams;
  /** Choices that the engine makes at once. */
  readonly width: number;
  /** The client asked for events: silence before the first part may be broken by comments. */
  readonly wantsEvents: boolean;
}

const isEventStream = (headers: readonly (readonly [string, string])[]): boolean =>
  headers.some(([name, value]) => name === 'content-type' && value.startsWith('text/event-stream'));

export class RelayRun implements LiveResponse, EventStreamOwner, HttpSink {
  #generation: Generation | null = null;
  #stream: EventStream | null = null;
  /** Status of the answer; null before its first part. */
  #status: number | null = null;
  /** Of the answer, for the client. */
  #headers: [name: string, value: string][] = [];
  /** Set when the answer is an event stream. */
  #events: WholeEvents | null = null;
  readonly #whole: Uint8Array[] = [];
  #waited = false;
  #over = false;
  readonly #meter: RelayMeter;

  constructor(private readonly relay: RelayRequest) {
    const { context, model, request } = relay;
    this.#meter = new RelayMeter(context.metrics.model(model.names[0] ?? ''), callOf(request).startedAt);
  }

  /** Throws what `Inference.relay` throws. */
  start(): void {
    const { context, model, params, reply, request, width } = this.relay;
    this.#generation = context.inference.relay(model.names[0] ?? null, params, this, callOf(request), width);
    context.live.track(reply.raw, this);
  }

  delta(part: HttpPart): void {
    if (this.#over) return;
    if (this.#status === null && !this.#begin(part)) return;
    if (this.#events === null) {
      this.#whole.push(part.body);
      return;
    }
    const events = this.#events.take(part.body);
    if (events === '') return;
    this.#meter.sawEvents(events);
    this.#opened().push(events);
  }

  end(): void {
    if (this.#over) return;
    if (this.#status === null) {
      this.error(new TwinkleError('ENGINE_ERROR', 'the engine ended its answer before it began: ask again'));
      return;
    }
    this.#over = true;
    if (this.#events !== null) {
      const stream = this.#opened();
      const rest = this.#events.rest();
      this.#meter.sawEvents(rest);
      this.#meter.ended();
      stream.push(rest);
      stream.end();
      return;
    }
    const whole = Buffer.concat(this.#whole);
    if (this.#status < 400) {
      this.#meter.sawBody(whole);
      this.#meter.ended();
    }
    const body = this.#shaped(this.#status, whole);
    if (this.#stream === null) this.#withHeaders().code(this.#status).send(body);
    else this.#lastEvent(body.toString());
  }

  /** What the engine says of a failure as the clients of the route read it. */
  #shaped(status: number, body: Buffer): Buffer {
    const { ofEngine } = errorShapeOf(this.relay.request);
    return status < 400 || ofEngine === undefined ? body : Buffer.from(ofEngine(status, body.toString()));
  }

  error(error: TwinkleError): void {
    if (this.#over) return;
    this.#abort();
    const { context, reply, request } = this.relay;
    if (this.#stream === null) {
      reply.send(error);
      return;
    }
    const { requestId } = callOf(request);
    context.logger?.error({ request_id: requestId, code: error.code, err: error }, 'stream_failed');
    this.#lastEvent(errorShapeOf(request).body(error));
  }

  slow(slow: boolean): void {
    if (!this.#over) this.#generation?.pause(slow);
  }

  written(now: number): void {
    this.#meter.written(now);
  }

  keepAlive(): void {
    if (this.#over) return;
    if (this.#stream !== null) this.#stream.keepAlive();
    else if (this.#waited && this.relay.wantsEvents && (this.#status === null || this.#events !== null)) {
      this.#opened().keepAlive();
    }
    this.#waited = true;
  }

  disconnected(): void {
    this.#abort();
    this.#stream?.drop();
  }

  shutdown(error: TwinkleError): void {
    this.error(error);
  }

  /** False: it is no answer, and the client has been told. fastify throws for such a status, and then nobody would answer the client. */
  #begin({ headers = [], status = 200 }: HttpPart): boolean {
    if (!isAnswerStatus(status)) {
      const message = `the engine answered with status ${status}, which HTTP does not have for an answer`;
      this.error(new TwinkleError('ENGINE_ANSWER', message, { details: { engineStatus: status } }));
      return false;
    }
    this.#status = status;
    this.#headers = headersToClient(headers);
    if (status < 400) this.#meter.began();
    if (status === 200 && isEventStream(this.#headers)) this.#events = new WholeEvents();
    return true;
  }

  /** The reply with the engine's headers. Not before they are about to leave: until then an error may come instead. */
  #withHeaders(): FastifyReply {
    const { reply } = this.relay;
    for (const [name, value] of this.#headers) reply.header(name, value);
    return reply;
  }

  #opened(): EventStream {
    if (this.#stream !== null) return this.#stream;
    const { context } = this.relay;
    const reply = this.#withHeaders().hijack();
    const stream = new EventStream(reply.raw, context.queue, this);
    this.#stream = stream;
    stream.open(reply.getHeaders() as OutgoingHttpHeaders);
    return stream;
  }

  /** An error, of the engine or of ours, after the head has left. */
  #lastEvent(body: string): void {
    const lines = body.replace(/\r\n|\r|\n/g, ' ');
    this.#stream?.push(errorShapeOf(this.relay.request).event(lines));
    this.#stream?.end();
  }

  #abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#generation?.abort();
  }
}
