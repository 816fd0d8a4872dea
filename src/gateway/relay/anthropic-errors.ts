/** Errors of ours as the clients of Anthropic's Messages API read them. */
import type { TwinkleError } from '../../errors.js';
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

const typeOf = ({ status }: TwinkleError): string =>
  TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error');

/** `{"type":"error","error":{…}}`; in a stream as the event `error`. */
export const ANTHROPIC_ERRORS: ErrorShape = {
  body: (error) => JSON.stringify({ type: 'error', error: { type: typeOf(error), message: error.message } }),
  event: (body) => `event: error\ndata: ${body}\n\n`,
};
