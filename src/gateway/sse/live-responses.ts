/** The answers that are under way: told when their client leaves, kept alive while silent, ended when the gateway closes. */
import type { ServerResponse } from 'node:http';
import type { TwinkleError } from '../../errors.js';
import { whenClosed } from '../http/closed.js';

/** An answer under way. */
export interface LiveResponse {
  /** The client closed the connection before the end of the answer. */
  disconnected(): void;
  /** Called twice in a keep-alive period. */
  keepAlive(): void;
  /** End now, with this error. */
  shutdown(error: TwinkleError): void;
}

/** All of one gateway. */
export class LiveResponses {
  private readonly live = new Map<ServerResponse, LiveResponse>();
  private timer: NodeJS.Timeout | null = null;
  private idle: (() => void) | null = null;

  constructor(private readonly keepAliveMs: number) {}

  /** Follow an answer until its response closes. */
  track(res: ServerResponse, response: LiveResponse): void {
    // A client may leave between its last byte and this call; then no 'close' will come any more.
    if (res.destroyed) {
      response.disconnected();
      return;
    }
    this.live.set(res, response);
    // At half the period: a silent stream then waits between half of it and all of it, never longer.
    this.timer ??= setInterval(() => this.tick(), this.keepAliveMs / 2).unref();
    whenClosed(res, (complete) => {
      this.live.delete(res);
      if (!complete) response.disconnected();
      if (this.live.size === 0) this.becomeIdle();
    });
  }

  /** End every answer with `error`; resolves when they are flushed, after `graceMs` at the latest. */
  async shutdown(error: TwinkleError, graceMs: number): Promise<void> {
    for (const response of [...this.live.values()]) response.shutdown(error);
    if (this.live.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, graceMs);
      this.idle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.becomeIdle();
  }

  private tick(): void {
    for (const response of this.live.values()) response.keepAlive();
  }

  private becomeIdle(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
    this.idle?.();
    this.idle = null;
  }
}
