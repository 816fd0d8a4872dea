import { describe, expect, test } from 'vitest';
import { COMMAND_FLAGS } from '../../../src/cli/serve-args.js';
import { OPTION_KEYS } from '../../../src/config/options.js';
import { allEngineArgNames, checkEngineArgs } from '../../../src/engines/args.js';
import { IGNORED_VLLM_ARGS, REFUSED_VLLM_ARGS } from '../../../src/engines/vllm-arg-rules.js';
import { VLLM_ARGS } from '../../../src/engines/vllm-args.js';

const check = (name: string, value: unknown, warn?: (text: string) => void): Record<string, unknown> =>
  checkEngineArgs('vllm', [{ name, value, where: `--${name}` }], [], warn);

describe('the table', () => {
  test('is whole: one line a name, every kind known', () => {
    const kinds = ['boolean', 'integer', 'number', 'string', 'json', 'list'];
    for (const [name, spec] of Object.entries(VLLM_ARGS)) {
      expect(name).toMatch(/^[a-z0-9_]+$/);
      expect(kinds, name).toContain(spec.kind);
      expect(spec.item === undefined, name).toBe(spec.kind !== 'list');
    }
    expect(Object.keys(VLLM_ARGS).length).toBeGreaterThan(300);
    const aliases = Object.values(VLLM_ARGS).flatMap((spec) => spec.aliases ?? []);
    expect(new Set(aliases).size).toBe(aliases.length);
  });

  test('rules are about arguments that exist, and each is one sentence', () => {
    for (const [name, reason] of [...Object.entries(REFUSED_VLLM_ARGS), ...Object.entries(IGNORED_VLLM_ARGS)]) {
      expect(VLLM_ARGS, name).toHaveProperty(name);
      expect(reason).toMatch(/^[^A-Z.][^.]*[^.]$|^tensor/);
    }
  });

  test('what is an option of serve under the same name is never an engine argument', () => {
    const shared = [...OPTION_KEYS, ...Object.keys(COMMAND_FLAGS)].filter(
      (key) => VLLM_ARGS[key.replaceAll('-', '_')] !== undefined,
    );
    expect(shared).toContain('tensor-parallel-size');
    for (const key of shared) expect(REFUSED_VLLM_ARGS, key).toHaveProperty(key.replaceAll('-', '_'));
    expect(allEngineArgNames()).not.toContain('port');
  });
});

describe('values', () => {
  test.each([
    ['enable-lora', true, true],
    ['enable-lora', 'false', false],
    ['disable-log-stats', false, undefined],
    ['max-num-seqs', '8', 8],
    ['max-num-batched-tokens', '8k', 8000],
    ['max-num-batched-tokens', '8K', 8192],
    ['kv-cache-memory-bytes', '1.5g', 1_500_000_000],
    ['kv-cache-memory-bytes', null, undefined],
    ['max-log-len', 'None', 'None'],
    ['gpu-memory-utilization', 0.5, 0.5],
    ['max-lora-rank', '16', 16],
    ['lora-modules', ['a=b', { name: 'c', path: 'd' }], ['a=b', { name: 'c', path: 'd' }]],
    ['lora-modules', 'a=b', ['a=b']],
    ['cudagraph-capture-sizes', ['1', 2], [1, 2]],
    ['compilation-config', '{"mode": 3}', { mode: 3 }],
    ['compilation-config', { mode: 3 }, { mode: 3 }],
    ['kv-transfer-config', '{"bytes": 80m, "role": "80m"}', { bytes: 80e6, role: '80m' }],
    ['hf-overrides', '{"a": 1}', { a: 1 }],
    ['hf-overrides', 'module.function', 'module.function'],
    ['hf-token', true, true],
    ['moe-backend', 'deep-gemm', 'deep-gemm'],
  ])('%s %j → %j', (name, value, expected) => {
    expect(check(name, value)).toEqual(expected === undefined ? {} : { [name.replaceAll('-', '_')]: expected });
  });

  test.each([
    ['enable-lora', 'maybe', 'expected true or false for `--enable-lora`'],
    ['max-num-seqs', '0', 'of at least 1'],
    ['max-num-batched-tokens', '1.5K', 'a whole number of at least 1 such as 8192 or 8k'],
    ['max-lora-rank', '17', 'expected one of 1, 128, 16'],
    ['tokenizer', '', 'expected text'],
    ['kv-cache-dtype', 'int3', 'expected one of auto, bfloat16'],
    ['compilation-config', '{mode: 3', 'expected JSON, such as'],
    ['compilation-config', 3, 'expected an object'],
    ['cudagraph-capture-sizes', ['x'], 'expected a whole number'],
    ['lora-modules', [], 'expected one or more values'],
  ])('refuses %s %j', (name, value, message) => {
    expect(() => check(name, value)).toThrowError(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) }),
    );
  });
});

describe('what is different here', () => {
  test.each([
    ['ssl-keyfile', 'put a proxy that does TLS in front'],
    ['nnodes', 'join the machines to one head'],
    ['port', 'write `--port`'],
    ['api-server-count', 'one gateway serves all replicas'],
    ['data-parallel-rank', '--data-parallel-size'],
  ])('%s is refused', (name, message) => {
    expect(() => check(name, '1')).toThrowError(
      expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(message) }),
    );
  });

  test('whatever the engine is, a refused argument says why', () => {
    const input = { name: 'ssl-keyfile', value: 'x', where: '--ssl-keyfile' };
    expect(() => checkEngineArgs('transformers', [input])).toThrowError(/TLS/);
  });

  test('the executor back end is taken, warned about once and not passed on', () => {
    const warnings: string[] = [];
    const input = { name: 'distributed-executor-backend', value: 'mp', where: '--distributed-executor-backend' };
    expect(checkEngineArgs('vllm', [input, { ...input, value: 'ray' }], [], (text) => warnings.push(text))).toEqual({});
    expect(warnings).toEqual([
      '`--distributed-executor-backend` is not passed on: twinkle-node starts the ranks and drives them with an executor of its own',
    ]);
  });
});
