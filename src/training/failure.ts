/** An error as the answer of a request. */
import { ERRORS, type TwinkleError } from '../errors.js';
import type { FutureFailure } from './types.js';

export function failureOf(error: TwinkleError): FutureFailure {
  return { error: error.message, category: ERRORS[error.code].status < 500 ? 'user' : 'server' };
}
