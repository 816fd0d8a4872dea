import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DEMO_MODEL } from '../../../../src/config/package-root.js';
import { modelSource } from '../../../../src/config/twinkle/model-source.js';
import type { EngineName } from '../../../../src/config/types.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'twinkle-source-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Somebody at home in the folder, who works in `work` below it. */
function source(id: string, env: Record<string, string> = {}, engine: EngineName = 'vllm'): string {
  return modelSource(id, engine, { env, cwd: join(root, 'work'), userHome: root });
}

/** A folder with these files. @returns its path */
function folder(path: string, ...files: readonly string[]): string {
  const whole = join(root, path);
  mkdirSync(whole, { recursive: true });
  for (const file of files) writeFileSync(join(whole, file), '{}');
  return whole;
}
const model = (path: string): string => folder(path, 'config.json');

describe('ms://', () => {
  it.each(['models/Qwen/Q', 'hub/models/Qwen/Q', 'Qwen/Q'])('is found in the cache of the environment: %s', (path) => {
    const found = model(`cache/${path}`);
    expect(source('ms://Qwen/Q', { MODELSCOPE_CACHE: join(root, 'cache') })).toBe(found);
  });

  it.each(['models/Qwen/Q', 'Qwen/Q'])('is found in the cache at home: %s', (path) => {
    const found = model(`.cache/modelscope/hub/${path}`);
    expect(source('ms://Qwen/Q')).toBe(found);
    expect(source('ms://Qwen/Q', { MODELSCOPE_CACHE: '' })).toBe(found);
    // A cache that is named is the only one.
    expect(source('ms://Qwen/Q', { MODELSCOPE_CACHE: join(root, 'empty') })).toBe('ms://Qwen/Q');
  });

  it('is found with its dots as three underscores', () => {
    const found = model('.cache/modelscope/hub/models/Qwen/Qwen3___5-0___8B');
    expect(source('ms://Qwen/Qwen3.5-0.8B')).toBe(found);
    const plain = model('.cache/modelscope/hub/models/Qwen/Qwen3.5-0.8B');
    expect(source('ms://Qwen/Qwen3.5-0.8B')).toBe(plain);
  });

  it('is what the library of today keeps before what older ones did', () => {
    model('.cache/modelscope/hub/Qwen/Q');
    const found = model('.cache/modelscope/hub/models/Qwen/Q');
    expect(source('ms://Qwen/Q')).toBe(found);
  });

  it('is left to the library where nothing, or half a download, is there', () => {
    folder('.cache/modelscope/hub/models/Qwen/Q', 'model.safetensors');
    expect(source('ms://Qwen/Q')).toBe('ms://Qwen/Q');
  });
});

describe('other ids', () => {
  it('hf:// is the hub that engines know', () => {
    expect(source('hf://Qwen/Qwen3-0.6B')).toBe('Qwen/Qwen3-0.6B');
    model('work/Qwen/Qwen3-0.6B');
    expect(source('hf://Qwen/Qwen3-0.6B')).toBe('Qwen/Qwen3-0.6B');
  });

  it('a folder counts from where the command was given, from home by ~, or from the root', () => {
    const here = folder('work/models/own');
    const home = folder('models/mine');
    expect(source('models/own')).toBe(here);
    expect(source('./models/own')).toBe(here);
    expect(source('../models/mine')).toBe(home);
    expect(source('~/models/mine')).toBe(home);
    expect(source(home)).toBe(home);
  });

  it('without a folder of that name it is an id of the hub', () => {
    expect(source('models/own')).toBe('models/own');
    folder('work/models', 'own');
    expect(source('models/own')).toBe('models/own'); // a file
  });

  it('demo is the built-in one, and any word does for engine mock', () => {
    expect(source('demo')).toBe(DEMO_MODEL);
    expect(source('ms://whatever', {}, 'mock')).toBe('ms://whatever');
    expect(source('demo', {}, 'mock')).toBe('demo');
  });
});

describe('what is no model', () => {
  it.each([
    ['ms://Qwen', "a hub's models go by ms://org/name"],
    ['hf://a/b/c', "a hub's models go by hf://org/name"],
    ['ms://../secrets', "a hub's models go by ms://org/name"],
    ['./nothing', 'there is no folder '],
    ['../nothing', 'there is no folder '],
    ['~/nothing', 'there is no folder '],
    ['/nothing/here', 'there is no folder /nothing/here'],
    ['word', 'there is no folder '],
    ['s3://bucket/model', 'there is no folder '],
  ])('%s', (id, why) => {
    expect(() => source(id)).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining(
          `expected ms://org/name, hf://org/name or a model folder for \`model_id\` but received ${JSON.stringify(id)}: ${why}`,
        ) as string,
      }),
    );
  });
});
