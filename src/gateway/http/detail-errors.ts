/**
 * Errors as the Tinker SDK and the Twinkle client show them. The SDK retries 408, 409, 429 and 5xx for minutes, so nothing permanent may have such a
 * status; the Twinkle client takes 410 for the end of an iterator.
 */
import type { ErrorShape } from './route-traits.js';

/** `{"detail": message}`. */
export const DETAIL_ERRORS: ErrorShape = {
  body: (error) => JSON.stringify({ detail: error.message }),
  event: (body) => `data: ${body}\n\n`,
};
