/** How an error that ends a command is shown, and which exit code it gives. */
import { asTwinkleError, EXIT, type TwinkleError } from '../../errors.js';
import type { CliIo } from '../io.js';
import { painter } from './style.js';

/** What programs get of an error with `--json`. */
export function errorDocument(error: TwinkleError): Record<string, unknown> {
  return { code: error.code, message: error.message, exit: error.exitCode, details: error.details };
}

/**
 * Write the error to stderr and, with `--json`, as one line to stdout.
 * @returns the exit code
 */
export function reportError(thrown: unknown, io: CliIo, json: boolean): number {
  const error = asTwinkleError(thrown);
  const paint = painter(io.stderr, io.env);
  io.stderr.write(`${paint('red', 'error')}: ${error.message} ${paint('dim', `[${error.code}]`)}\n`);
  if (error.code === 'INTERNAL') {
    const stack = error.cause instanceof Error ? error.cause.stack : error.stack;
    io.stderr.write(
      `${paint('dim', stack ?? '')}\nThis is a bug: please report it with the output of \`twinkle-node inspect\`.\n`,
    );
  }
  if (json) io.stdout.write(`${JSON.stringify({ event: 'error', ...errorDocument(error) })}\n`);
  return error.exitCode ?? EXIT.unexpected;
}
