/** Child Nodes that run sources of ours: sources are transpiled (types stripped) into a folder, a script imports them from there. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import ts from 'typescript';

const ROOT = new URL('../..', import.meta.url).pathname;

export class Sources implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'twinkle-src-'));

  /** @param entries paths below `src`, without their ending; what they import relatively comes along */
  constructor(...entries: string[]) {
    symlinkSync(join(ROOT, 'node_modules'), join(this.folder, 'node_modules'));
    writeFileSync(join(this.folder, 'package.json'), '{"type":"module"}');
    const done = new Set<string>();
    const waiting = entries.map((entry) => join(ROOT, 'src', `${entry}.ts`));
    for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
      if (done.has(path)) continue;
      done.add(path);
      const text = readFileSync(path, 'utf8');
      const { outputText } = ts.transpileModule(text, {
        compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true },
      });
      const target = join(this.folder, relative(join(ROOT, 'src'), path).replace(/\.ts$/, '.js'));
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, outputText);
      for (const [, name] of outputText.matchAll(/from '(\.[^']*)\.js'/g)) {
        waiting.push(join(dirname(path), `${name}.ts`));
      }
    }
  }

  /** Start a module's text; it may import `./transport/peer-hub.js` and the like. */
  start(text: string, ...args: string[]): ChildScript {
    return new ChildScript(this.folder, text, args);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One child; lines of its output can be awaited. */
export class ChildScript {
  readonly process: ChildProcess;
  readonly lines: string[] = [];
  /** Of the whole life: code and signal. */
  readonly ended: Promise<unknown[]>;
  readonly #waiting: (() => void)[] = [];
  #read = 0;

  constructor(folder: string, text: string, args: string[]) {
    const options = { cwd: folder, stdio: ['pipe', 'pipe', 'inherit'] as ['pipe', 'pipe', 'inherit'] };
    const child = spawn(process.execPath, ['--input-type=module', '-e', text, '--', ...args], options);
    this.process = child;
    this.ended = once(child, 'close');
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.lines.push(line);
      for (const wake of this.#waiting.splice(0)) wake();
    });
    void this.ended.then(() => {
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  get pid(): number {
    return this.process.pid ?? -1;
  }

  /** The next line of its output. Rejects when it has ended without one. */
  async line(): Promise<string> {
    while (this.lines.length <= this.#read) {
      if (this.process.exitCode !== null || this.process.signalCode !== null) throw new Error('the child has ended');
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    return this.lines[this.#read++] as string;
  }

  say(line: string): void {
    this.process.stdin?.write(`${line}\n`);
  }

  /** Kill it and wait for its end. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.process.kill(signal);
    await this.ended;
  }
}
