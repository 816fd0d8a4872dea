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
      ['--tensor-parallel-size', '2', '--pipeline-parallel-size=3', '--data-parallel-size=4', 'demo'],
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
    ['demo --enable-lora --max-loras 2', ['demo'], { 'enable-lora': true, 'max-loras': '2' }],
    ['--no-enable-prefix-caching demo', ['demo'], { 'enable-prefix-caching': false }],
    ['--lora-modules a=b c=d --port 1', ['--port', '1'], { 'lora-modules': ['a=b', 'c=d'] }],
    ['--lora-modules=a=b demo', ['demo'], { 'lora-modules': ['a=b'] }],
    [
      '--cudagraph-capture-sizes 1 2 4 -tp 2',
      ['--tensor-parallel-size', '2'],
      { 'cudagraph-capture-sizes': ['1', '2', '4'] },
    ],
    ['--hf-overrides {"a":1} demo', ['demo'], { 'hf-overrides': '{"a":1}' }],
    [
      '--compilation-config.mode 3 --hf-overrides.text_config.x=1.5 -cc.pass_config.fuse true demo',
      ['demo'],
      { 'compilation-config': { mode: 3, pass_config: { fuse: true } }, 'hf-overrides': { text_config: { x: 1.5 } } },
    ],
    [
      '-cc.custom_ops+ a,b -cc.custom_ops+=c --kv-transfer-config.bytes 80m --kv_transfer_config.role kv_both',
      [],
      { 'compilation-config': { custom_ops: ['a', 'b', 'c'] }, 'kv-transfer-config': { bytes: 80e6, role: 'kv_both' } },
    ],
    ['-O3 demo', ['demo'], { 'optimization-level': '3' }],
    ['-O 2 demo', ['demo'], { 'optimization-level': '2' }],
    [
      '-O=1 -q fp8 -ep demo',
      ['demo'],
      { 'optimization-level': '1', quantization: 'fp8', 'enable-expert-parallel': true },
    ],
    ['--hf-token --seed 1', [], { 'hf-token': true, seed: '1' }],
    ['--hf-token abc --seed 1', [], { 'hf-token': 'abc', seed: '1' }],
    ['--device-memory-utilization 0.5', [], { 'gpu-memory-utilization': '0.5' }],
    ['--disable-log-stats demo', ['demo'], { 'disable-log-stats': true }],
    // Refused with a reason later: what matters here is that its value is no model.
    ['--ssl-keyfile key.pem -n 2 demo', ['demo'], { 'ssl-keyfile': 'key.pem', nnodes: '2' }],
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
    ['--enable-lra', 'did you mean `--enable-lora`?'],
    ['--lora-modules --port 1', 'expected a value after `--lora-modules`'],
    ['--compilation-config.mode', 'expected a value after `--compilation-config`'],
    ['--seed.x 1', '`--seed.x`: `--seed` takes no keys after a dot'],
    ['--port.x 1', '`--port` takes no keys after a dot'],
    ['--compilation-config. 1', 'takes no keys'],
    ['--no-disable-log-stats', 'unknown flag `--no-disable-log-stats`'],
  ])('refuses %s', (words, message) => {
    expect(() => args(words)).toThrowError(
      expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(message) }),
    );
  });
});

test('keys after dots cannot reach the prototype of objects', () => {
  splitServeArgs(['--hf-overrides.__proto__.polluted', '1', '--hf-overrides.constructor.prototype.polluted', '1']);
  expect(({} as { polluted?: number }).polluted).toBeUndefined();
});
