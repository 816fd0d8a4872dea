/** Errors as the Tinker SDK shows them. It retries 408, 409, 429 and 5xx for minutes, so nothing permanent may have such a status. */
import type { ErrorShape } from '../http/route-traits.js';

/** `{"detail": message}`. */
export const TINKER_ERRORS: ErrorShape = {
  body: (error) => JSON.stringify({ detail: error.message }),
  event: (body) => `data: ${body}\n\n`,
};
