/**
 * An SSE answer on one response: head, events, comments, end; tells when its reader is slow. Knows nothing of OpenAI.
 *
 * Events go to the socket as ready-made HTTP chunks, one string and one write each: Node's own `res.write` makes four pieces
 * of every chunk and was measured a third slower. Where the response is not plain chunked HTTP/1.1 on its own socket
 * (HTTP/1.0, HTTP/2, a pipelined request that waits for its turn, a host that wraps `write`), `res.write` is used.
 */
import { type OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { FlushQueue } from './flush-queue.js';

const SSE_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  'x-accel-buffering': 'no',
} as const;

/** What a stream tells its owner. */
export interface EventStreamOwner {
  /** The reader does not keep up (`true`), or has caught up. */
  slow(slow: boolean): void;
  /** Events of `push` have been written. @param now `performance.now()` */
  written(now: number): void;
}

function ownSocket(res: ServerResponse): Socket | null {
  return res instanceof ServerResponse && res.socket instanceof Socket ? res.socket : null;
}

/** One SSE answer. */
export class EventStream {
  private pending = '';
  private queued = false;
  private corked = false;
  /** Set where chunks may bypass `res.write`. */
  private socket: Socket | null = null;
  private isSlow = false;
  private ended = false;
  /** Whether anything was written since the keep-alive last looked. */
  private active = true;

  constructor(
    private readonly res: ServerResponse,
    private readonly queue: FlushQueue,
    private readonly owner: EventStreamOwner,
  ) {}

  /** Send status 200 and the headers, with those that the host set. They leave together with the first events. */
  open(headers: OutgoingHttpHeaders): void {
    const { res } = this;
    const socket = ownSocket(res);
    res.writeHead(200, { ...headers, ...SSE_HEADERS });
    socket?.cork();
    this.corked = socket !== null;
    res.flushHeaders();
    if (res.chunkedEncoding && res.write === ServerResponse.prototype.write) this.socket = socket;
    this.enqueue();
  }

  /** Queue complete events (`data: …\n\n`). */
  push(events: string): void {
    this.pending += events;
    if (!this.queued) this.enqueue();
  }

  /** Write what is queued; called by the queue. */
  flush(now: number): void {
    this.queued = false;
    const data = this.pending;
    if (this.ended) return;
    this.pending = '';
    const keepsUp = data === '' || this.write(data);
    if (this.corked) {
      this.corked = false;
      ownSocket(this.res)?.uncork();
    }
    if (!keepsUp && !this.isSlow) this.becomeSlow();
    if (data !== '') this.owner.written(now);
  }

  /** Write what is queued and end the answer; its connection stays usable. */
  end(): void {
    if (this.ended) return;
    this.socket?.cork();
    if (this.pending !== '') this.write(this.pending);
    this.pending = '';
    this.ended = true;
    this.forgetDrain();
    // `end` uncorks the socket: last events and terminating chunk leave together.
    this.res.end();
  }

  /** The client is gone: nothing more is written. */
  drop(): void {
    this.ended = true;
    this.pending = '';
    this.forgetDrain();
  }

  /** Called at a steady pace; sends a comment when nothing was written since the last call. */
  keepAlive(): void {
    if (!this.active && !this.isSlow && !this.ended) this.push(': keep-alive\n\n');
    this.active = false;
  }

  private write(data: string): boolean {
    this.active = true;
    const { socket } = this;
    if (socket === null) return this.res.write(data);
    // Half-closed by the client: 'close' is on its way and ends this stream.
    if (!socket.writable) return true;
    const bytes = Buffer.byteLength(data);
    return socket.write(`${bytes.toString(16)}\r\n${data}\r\n`, bytes === data.length ? 'latin1' : 'utf8');
  }

  private enqueue(): void {
    this.queued = true;
    this.queue.add(this);
  }

  private becomeSlow(): void {
    this.isSlow = true;
    (this.socket ?? this.res).once('drain', this.drained);
    this.owner.slow(true);
  }

  private readonly drained = (): void => {
    this.isSlow = false;
    this.owner.slow(false);
  };

  private forgetDrain(): void {
    if (this.isSlow) (this.socket ?? this.res).off('drain', this.drained);
  }
}
