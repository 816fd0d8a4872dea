/** A program that prints its figures as JSON, one object a line, and goes on when it is told. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/**
 * Start it. `line()` is its next object (other lines are passed over: some peers warn on the same stream), `ended` its end.
 * @throws from `line()`, with the end of its stderr, when it ends first
 */
export function talkWith(program, args, options = {}) {
  const child = spawn(program, args, { ...options, stdio: ['pipe', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (text) => {
    errors = (errors + text).slice(-4000);
  });
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    pid: child.pid,
    ended,
    say: (text) => child.stdin.write(`${text}\n`),
    async line() {
      for (;;) {
        const { value, done } = await lines.next();
        if (done) throw new Error(`${args.join(' ')} ended: ${errors}`);
        if (value.startsWith('{')) return JSON.parse(value);
      }
    },
  };
}
