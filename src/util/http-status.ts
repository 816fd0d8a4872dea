/** Which statuses may end an HTTP exchange. */

/**
 * Whether an answer may have that status. 1xx may not: it only announces one, and a client would wait for it. What lies beyond three digits,
 * or is no whole number, no server can write.
 */
export function isAnswerStatus(status: number): boolean {
  return Number.isInteger(status) && status >= 200 && status <= 599;
}
