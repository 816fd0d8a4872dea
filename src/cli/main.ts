#!/usr/bin/env node
/** Entry of the command `twinkle-node`: hands the process over to `runCli` and ends with its exit code. */
import * as nodeModule from 'node:module';
import { defaultParts } from './parts.js';
import { runCli } from './run.js';

// Node 22 and newer keep compiled code on disk: later starts are faster.
(nodeModule as { enableCompileCache?: () => unknown }).enableCompileCache?.();

// `twinkle-node logs | head`: the reader left, which is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}

const io = {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  cwd: process.cwd(),
  signals: process,
  ...(process.send === undefined ? {} : { tellParent: (message: object) => void process.send?.(message) }),
};
const code = await runCli(process.argv.slice(2), io, defaultParts);
process.exitCode = code;
// A pipe is written asynchronously: let the last words leave before the end, which waits for nothing else.
process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
