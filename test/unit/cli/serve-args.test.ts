import { describe, expect, test } from 'vitest';
import { splitServeArgs } from '../../../src/cli/serve-args.js';

const args = (words: string): { words: readonly string[]; engine: Record<string, unknown> } => {
  const split = splitServeArgs(words.split(' ').filter((word) => word !== ''));
  return { words: split.words, engine: Object.fromEntries(split.engineArgs.map(({ name, value }) => [name, value])) };
};

describe('splitServeArgs', () => {
  test.each([
    ['demo --port 1 --gpus=0-3', ['demo', '--port', '1', '--gpus=0-3'], {}],
    [
      '-tp 2 -pp=3 -dp4 demo',
      ['--tensor-parallel-size', '2', '--pipeline-parallel-size', '3', '--data-parallel-size', '4', 'demo'],
      {},
    ],
    ['--max_model_len 8k --served_model_name=a', ['--max-model-len', '8k', '--served-model-name=a'], {}],
    ['demo --max-num-seqs 4 -- --step_ms=2', ['demo'], { 'max-num-seqs': '4', 'step-ms': '2' }],
    ['-- --port 1 --seed 3', ['--port', '1'], { seed: '3' }],
    ['--trust-remote-code demo', ['demo'], { 'trust-remote-code': true }],
    ['--trust-remote-code false demo', ['demo'], { 'trust-remote-code': false }],
    ['--no-trust-remote-code demo', ['demo'], { 'trust-remote-code': false }],
    ['--trust-remote-code=true', [], { 'trust-remote-code': 'true' }],
    ['--no-auth --no-setup', ['--no-auth', '--no-setup'], {}],
    ['--seed -1', [], { seed: '-1' }],
    ['--host --port 1', ['--host', '--port', '1'], {}],
    ['-h', ['-h'], {}],
  ])('%s', (words, rest, engine) => {
    expect(args(words)).toEqual({ words: rest, engine });
  });

  test.each([
    ['--prot 1', 'unknown flag `--prot`; did you mean `--port`?'],
    ['--max-num-sqs=1', 'unknown flag `--max-num-sqs`; did you mean `--max-num-seqs`?'],
    ['--dryrun', 'did you mean `--dry-run`?'],
    ['--frobnicate', 'unknown flag `--frobnicate`'],
    ['-- --tensor-paralel-size 2', 'did you mean `--tensor-parallel-size`?'],
    ['--seed', 'expected a value after `--seed`'],
    ['--seed --port 1', 'expected a value after `--seed`'],
  ])('refuses %s', (words, message) => {
    expect(() => args(words)).toThrowError(
      expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(message) }),
    );
  });
});
