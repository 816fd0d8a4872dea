/** Errors of ours as the clients of Anthropic's Messages API read them. */
import type { ErrorShape } from '../http/route-traits.js';

/** HTTP status → Anthropic's `error.type`; any other 4xx is `invalid_request_error`, any other 5xx `api_error`. */
const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  504: 'timeout_error',
};

function bodyOf(status: number, message: string): string {
  const type = TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error');
  return JSON.stringify({ type: 'error', error: { type, message } });
}

/** An error of the engine's own server: some of its answers are in OpenAI's form, and its types are its own. */
function ofEngine(status: number, body: string): string {
  try {
    const { message } = (JSON.parse(body) as { error: { message: unknown } }).error;
    return typeof message === 'string' ? bodyOf(status, message) : body;
  } catch {
    return body;
  }
}

/** `{"type":"error","error":{…}}`; in a stream as the event `error`. */
export const ANTHROPIC_ERRORS: ErrorShape = {
  body: (error) => bodyOf(error.status, error.message),
  event: (body) => `event: error\ndata: ${body}\n\n`,
  ofEngine,
};
