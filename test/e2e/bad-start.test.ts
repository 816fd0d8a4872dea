/** Starts that cannot work: the exit code, and a message that says what was looked for and what to do. */
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEMO_MODEL } from '../../src/config/package-root.js';
import { type CliEnd, runCli } from '../support/cli.js';
import { testPython } from '../support/pythons.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-bad-start-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const serve = (args: readonly string[], env: Record<string, string> = {}): Promise<CliEnd> =>
  runCli(['serve', '--port', '0', ...args], { TWINKLE_HOME: join(folder, 'home'), ...env });

/** A copy of the demo model with only these files. */
function modelFolder(name: string, ...files: string[]): string {
  const path = join(folder, name);
  mkdirSync(path);
  for (const file of files) copyFileSync(join(DEMO_MODEL, file), join(path, file));
  return path;
}

const TOKENIZER = ['tokenizer.json', 'tokenizer_config.json'];

describe('a model folder', () => {
  const damaged = (): string => {
    const path = modelFolder('damaged', 'config.json', ...TOKENIZER);
    writeFileSync(
      join(path, 'model.safetensors'),
      readFileSync(join(DEMO_MODEL, 'model.safetensors')).subarray(0, 300_000),
    );
    return path;
  };
  it.each([
    ['without config.json', () => modelFolder('a', 'model.safetensors', ...TOKENIZER), /no config\.json in .*\/a/],
    [
      'without weights',
      () => modelFolder('b', 'config.json', ...TOKENIZER),
      /no weights in .*\/b: looked for model\.safetensors, .*; /,
    ],
    [
      'without a tokenizer',
      () => modelFolder('c', 'config.json', 'model.safetensors'),
      /no tokenizer in .*\/c: looked for tokenizer\.json, .*; copy /,
    ],
    ['with damaged weights', damaged, /weights of .*\/damaged cannot be loaded: .*; .*download it again/],
    ['that is not there', () => './no/such/folder', /there is no folder .*\/no\/such\/folder/],
  ])('%s ends the start with 2', async (_what, make, words) => {
    const { code, stderr } = await serve([make(), '--cpu']);
    expect(stderr).toMatch(words);
    expect(stderr).not.toContain('Traceback');
    expect(code).toBe(2);
  });
});

it('a chat template with a syntax error ends the start of engine vllm with 2, named by its file and line', async () => {
  const file = join(folder, 'broken.jinja');
  writeFileSync(file, "{% for m in messages %}\n{{ m['content'] }\n{% endfor %}");
  const model = ['demo', '--engine', 'vllm', '--cpu', '--max-model-len', '512'];
  const { code, stderr } = await serve([...model, '--chat-template', relative(process.cwd(), file)]);
  expect(stderr).toMatch(/broken\.jinja cannot be used: line 2: .*leave --chat-template out/);
  expect(stderr).not.toContain('Traceback');
  expect(code).toBe(2);
});

describe('Python', () => {
  it('that is nowhere on PATH ends the start with 2, saying what was tried and what to install', async () => {
    const bin = join(folder, 'bin');
    mkdirSync(bin);
    symlinkSync(process.execPath, join(bin, 'node'));
    const { code, stderr } = await serve(['--cpu'], { PATH: bin, TWINKLE_CACHE: join(folder, 'no-cache') });
    expect(stderr).toMatch(/no Python of at least 3\.11 on PATH \(tried python3\.13, .*apt install python3.*--python/);
    expect(stderr).toContain('[PYTHON_MISSING]');
    expect(code).toBe(2);
  });

  it('whose environment is missing is not made with --no-setup: the command is named', async () => {
    const { code, stderr } = await serve(['--cpu', '--no-setup'], { TWINKLE_CACHE: join(folder, 'empty-cache') });
    expect(stderr).toContain('npx twinkle-node setup --engine transformers');
    expect(stderr).toContain(join(folder, 'empty-cache'));
    expect(code).toBe(2);
  });

  it('of the user without torch is told which packages it lacks', async () => {
    const venv = join(folder, 'venv');
    await promisify(execFile)(await testPython(), ['-m', 'venv', '--without-pip', venv]);
    const { code, stderr } = await serve(['--cpu', '--python', join(venv, 'bin', 'python')]);
    expect(stderr).toMatch(/lacks what engine transformers needs: .*torch.*-m pip install .*torch/);
    expect(code).toBe(2);
  });

  it('that is no Python at all is told so', async () => {
    const { code, stderr } = await serve(['--cpu', '--python', process.execPath]);
    expect(stderr).toContain(process.execPath);
    expect(stderr).toMatch(/PYTHON_(MISSING|ENV)/);
    expect(code).toBe(2);
  });
});

it.each([
  [['--cpu', '--max-model-len', 'long'], /--max-model-len.*long/],
  [['--port', '70000'], /65535 for `--port` but received "70000"/],
  [['--gpus', '0', '--cpu'], /--gpus.*--cpu|--cpu.*--gpus/],
  [['-tp', '2', '--cpu'], /-dp/],
  [['--cpu', '--max-num-seq', '4'], /did you mean `--max-num-seqs`/],
  [['--cpu', '--dtype', 'float7'], /dtype.*float7/],
  [['--host', 'no host', '--no-auth'], /--host.*no host/],
  [['--config', '/nowhere.yaml'], /nowhere\.yaml/],
] as const)('refuses %j with 2', async (args, words) => {
  const { code, stderr } = await serve(args);
  expect(stderr).toMatch(words);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(code).toBe(2);
});
