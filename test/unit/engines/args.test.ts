import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PYTHON_WORKERS } from '../../../src/config/package-root.js';
import { checkEngineArgs, ENGINE_ARGS, findEngineArg } from '../../../src/engines/args.js';

const arg = (name: string, value: unknown, where = `--${name}`) => ({ name, value, where });

describe('checkEngineArgs', () => {
  test('converts by kind, in kebab and snake case; the later one wins', () => {
    const args = [
      arg('max-num-seqs', '4'),
      arg('max_num_seqs', 8),
      arg('step-ms', '1.5'),
      arg('fault', 'kill@token:5'),
    ];
    expect(checkEngineArgs('mock', args)).toEqual({ max_num_seqs: 8, step_ms: 1.5, fault: 'kill@token:5' });
    expect(checkEngineArgs('transformers', [arg('trust-remote-code', true), arg('dtype', 'bfloat16')])).toEqual({
      trust_remote_code: true,
      dtype: 'bfloat16',
    });
  });

  test.each([
    ['transformers', arg('dtype', 'int3'), 'expected one of auto, float32'],
    ['transformers', arg('seed', '-1'), 'expected a whole number of at least 0 for `--seed` but received "-1"'],
    ['transformers', arg('seed', '1.5'), 'expected a whole number'],
    ['transformers', arg('gpu-memory-utilization', '1.5'), 'of at least 0.01 and at most 1'],
    ['transformers', arg('trust-remote-code', 'maybe'), 'expected true or false'],
    ['transformers', arg('revision', ''), 'expected text'],
    ['mock', arg('step-ms', 'fast'), 'expected a number of at least 0'],
    ['mock', arg('step-ms', ''), 'expected a number'],
  ] as const)('%s refuses %j', (engine, input, message) => {
    expect(() => checkEngineArgs(engine, [input])).toThrowError(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) }),
    );
  });

  test('an unknown name says what was meant, also among the flags of serve, and which engine takes it', () => {
    expect(() => checkEngineArgs('mock', [arg('stepms', 1)])).toThrowError(/did you mean `step-ms`\?/);
    expect(() => checkEngineArgs('mock', [arg('prot', 1)], ['port'])).toThrowError(/did you mean `port`\?/);
    expect(() => checkEngineArgs('mock', [arg('num-threads', '1')])).toThrowError(
      /engine transformers takes it: say `--engine transformers`/,
    );
    expect(() => checkEngineArgs('transformers', [arg('enable-lora', true)])).toThrowError(
      /engine vllm takes it: say `--engine vllm`/,
    );
    expect(() => checkEngineArgs('mock', [arg('dtype', 'auto')])).toThrowError(
      /engine vllm and transformers take it: say `--engine vllm`/,
    );
    expect(() => checkEngineArgs('mock', [arg('dtype', 'auto')])).toThrowError(
      expect.objectContaining({ code: 'USAGE' }),
    );
  });

  test('names of objects are no arguments', () => {
    expect(findEngineArg('constructor')).toBeNull();
    expect(() => checkEngineArgs('mock', [arg('to-string', 1)])).toThrowError(/unknown argument/);
  });
});

describe('the tables agree with the engines in Python', () => {
  const keys = (file: string, table: RegExp): string[] => {
    const source = readFileSync(join(PYTHON_WORKERS, 'twinkle_worker', 'engines', file), 'utf8');
    const body = table.exec(source)?.[1] ?? '';
    return [...body.matchAll(/^ {4}"(\w+)":/gm)].map((match) => match[1] as string).sort();
  };

  test.each([
    ['transformers', 'hf/options.py', /^_PARSERS[^\n]*\{\n([\s\S]*?)^\}/m],
    ['mock', 'mock_options.py', /^_OPTIONS[^\n]*\{\n([\s\S]*?)^\}/m],
  ] as const)('%s', (engine, file, table) => {
    // The length of the context is an option of serve itself.
    expect([...Object.keys(ENGINE_ARGS[engine]), 'max_model_len'].sort()).toEqual(keys(file, table));
  });
});
