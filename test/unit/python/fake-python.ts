/** A runner that pretends to be Python, pip and uv: makes folders where they would, and remembers every command. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Run, RunOptions, RunResult } from '../../../src/python/types.js';

/** How the pretended world is. */
export interface World {
  /** Interpreter name → version, or null for one that has no venv module. Absent: no such file. */
  readonly interpreters?: Readonly<Record<string, readonly [number, number, number] | null>>;
  /** What `pip install --report` prints for torch; null: pip fails. */
  readonly torchReport?: string | null;
  /** Package → why it cannot be imported, in the made environment. */
  readonly broken?: Readonly<Record<string, string>>;
  /** Packages of interpreters outside of made environments. */
  readonly installed?: readonly string[];
  /** Called before each command. */
  readonly before?: (command: string) => Promise<void> | void;
  /** Result of `pip install -r`. */
  readonly install?: Partial<RunResult>;
  /** Result of a script of ours. */
  readonly script?: Partial<RunResult>;
  /** Package → what the probe says of it, outside of made environments. */
  readonly complaints?: Readonly<Record<string, string>>;
}

/** The runner and what it was told. */
export interface FakePython {
  readonly run: Run;
  /** Commands in short: `python3.11 probe import`, `venv`, `pip install …`, `uv pip install …`. */
  readonly commands: string[];
  readonly options: RunOptions[];
}

const GOOD: RunResult = { code: 0, signal: null, stdout: '', stderr: '' };

/** Make one. */
export function fakePython(world: World = {}): FakePython {
  const interpreters = world.interpreters ?? { 'python3.11': [3, 11, 7] };
  const commands: string[] = [];
  const options: RunOptions[] = [];
  const run: Run = async (file, args, given) => {
    const command = describe(file, args);
    commands.push(command);
    options.push(given);
    await world.before?.(command);
    given.signal?.throwIfAborted();
    const made = file.endsWith('/env/bin/python') || /-py3\.\d+\/bin\/python$/.test(file);
    if (!made && !file.includes('/') && !Object.hasOwn(interpreters, file)) {
      throw Object.assign(new Error('spawn ENOENT'), { code: 'ENOENT' });
    }
    if (args[0] === '-c') return probe(file, args, made);
    if (args[0]?.endsWith('.py') === true) return { ...GOOD, ...world.script };
    if (args[1] === 'venv') makeVenv(args[2] as string);
    if (args.includes('--report')) {
      return world.torchReport === null ? { ...GOOD, code: 1 } : { ...GOOD, stdout: world.torchReport ?? '' };
    }
    if (args.includes('config')) return { ...GOOD, stdout: "global.index-url='https://mirror.example/simple'\n" };
    if (args.includes('-r')) return { ...GOOD, ...world.install };
    return GOOD;
  };
  const probe = (file: string, args: readonly string[], made: boolean): RunResult => {
    const wanted = Object.keys(JSON.parse(args[3] as string) as Record<string, string>);
    const broken: Record<string, string> = made ? { ...world.broken } : {};
    if (!made) {
      for (const name of wanted) {
        if (!(world.installed ?? []).includes(name)) broken[name] = world.complaints?.[name] ?? 'not installed';
      }
    }
    const version = interpreters[file] ?? [3, 11, 7];
    const report = {
      executable: file.includes('/') ? file : `/usr/bin/${file}`,
      version,
      prefix: '/usr',
      venv: interpreters[file] !== null,
      versions: Object.fromEntries(wanted.filter((name) => !(name in broken)).map((name) => [name, '1.0'])),
      broken,
    };
    return { ...GOOD, stdout: `noise\ntwinkle-probe:${JSON.stringify(report)}\n` };
  };
  return { run, commands, options };
}

function describe(file: string, args: readonly string[]): string {
  const program = file.split('/').at(-1) ?? file;
  if (args[0] === '-c') return `${program} probe ${args[2]}`;
  if (args[0] === '-m') return args[1] === 'venv' ? `${file} -m venv` : args.slice(1).join(' ');
  return `${program} ${args.join(' ')}`;
}

function makeVenv(venv: string): void {
  mkdirSync(join(venv, 'bin'), { recursive: true });
  writeFileSync(join(venv, 'bin', 'python'), '');
  writeFileSync(join(venv, 'bin', 'pip'), `#!${venv}/bin/python\n`);
  writeFileSync(join(venv, 'pyvenv.cfg'), `command = python -m venv ${venv}\n`);
}
