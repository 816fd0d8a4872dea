/** One HTTP request to the engine of one replica, its answer collected. Knows no route and no other replica. */
import { asTwinkleError, TwinkleError } from '../errors.js';
import type { HttpParams, HttpPart } from '../protocol/values.js';
import type { Channel, StreamHandle } from '../transport/channel.js';
import { isAnswerStatus } from '../util/http-status.js';

export interface AskOptions {
  readonly deadlineMs: number;
  /** Bytes of an answer at most. Default 16 MiB. */
  readonly limitBytes?: number;
}

/** An engine's answer, whatever its status in 200–599. */
export interface EngineAnswer {
  readonly status: number;
  /** Decoded as UTF-8. */
  readonly body: string;
}

const LIMIT_BYTES = 16 * 1024 * 1024;

/**
 * Ask. The request is on its way when this returns, so requests to one replica arrive in the order of these calls.
 * Rejects with `DEADLINE_EXCEEDED` (the engine is told to stop), `ENGINE_ERROR` for an answer that is too long, `ENGINE_ANSWER` for a status
 * that HTTP does not have, or what ended the stream.
 */
export function askEngine(lead: Channel, params: HttpParams, options: AskOptions): Promise<EngineAnswer> {
  const { deadlineMs, limitBytes = LIMIT_BYTES } = options;
  const { method, path } = params;
  return new Promise((resolve, reject) => {
    let status: number | null = null;
    let bytes = 0;
    const chunks: Uint8Array[] = [];
    let handle: StreamHandle | null = null;
    const fail = (error: TwinkleError): void => {
      clearTimeout(timer);
      reject(error);
    };
    const giveUp = (error: TwinkleError): void => {
      handle?.abort();
      fail(error);
    };
    const timer = setTimeout(
      () => giveUp(new TwinkleError('DEADLINE_EXCEEDED', `${method} ${path} was not answered within ${deadlineMs} ms`)),
      deadlineMs,
    );
    try {
      handle = lead.open('http', params, {
        item(part: HttpPart) {
          status ??= part.status ?? null;
          bytes += part.body.length;
          if (bytes > limitBytes) {
            giveUp(new TwinkleError('ENGINE_ERROR', `the answer to ${method} ${path} is over ${limitBytes} bytes`));
            return;
          }
          chunks.push(part.body);
        },
        end() {
          clearTimeout(timer);
          if (status === null) reject(new TwinkleError('PROTOCOL', `the answer to ${method} ${path} has no status`));
          else if (!isAnswerStatus(status))
            reject(new TwinkleError('ENGINE_ANSWER', `the engine answered ${method} ${path} with status ${status}`));
          else resolve({ status, body: Buffer.concat(chunks).toString('utf8') });
        },
        error: fail,
      });
    } catch (error) {
      fail(asTwinkleError(error));
    }
  });
}
