/** The built CLI as a user runs it, in a process and a home of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PACKAGE_ROOT } from '../../src/config/package-root.js';
import type { HeadStatus } from '../../src/runtime/types.js';

export const MAIN = join(PACKAGE_ROOT, 'dist', 'cli', 'main.js');

export interface CliEvent {
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface CliEnd {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running `serve --json`. */
export class CliServer implements AsyncDisposable {
  readonly events: CliEvent[] = [];
  readonly ended: Promise<CliEnd>;
  #waiters: (() => void)[] = [];
  #over = false;

  private constructor(
    readonly child: ChildProcess,
    readonly home: string,
    private readonly ownsHome: boolean,
  ) {
    let stderr = '';
    let stdout = '';
    child.stderr?.on('data', (chunk) => {
      stderr += chunk;
    });
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on('line', (line) => {
        stdout += `${line}\n`;
        this.events.push(JSON.parse(line) as CliEvent);
        this.#tell();
      });
    }
    this.ended = once(child, 'close').then(([code, signal]) => {
      this.#over = true;
      this.#tell();
      return { code, signal, stdout, stderr };
    });
  }

  /** Start `serve --json` on a free port, or where `--uds` says; the environment is this process's with `env` on top. */
  static start(args: readonly string[], env: Record<string, string> = {}): CliServer {
    const home = env.TWINKLE_HOME ?? mkdtempSync(join(tmpdir(), 'twinkle-e2e-'));
    const where = args.includes('--uds') ? [] : ['--port', '0'];
    const child = spawn(process.execPath, [MAIN, 'serve', '--json', ...where, ...args], {
      env: { ...process.env, TWINKLE_HOME: home, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new CliServer(child, home, env.TWINKLE_HOME === undefined);
  }

  /** Start and wait for `ready`. */
  static async ready(args: readonly string[], env: Record<string, string> = {}): Promise<CliServer> {
    const server = CliServer.start(args, env);
    await server.event('ready');
    return server;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get url(): string {
    return String(this.events.find(({ event }) => event === 'ready')?.url);
  }

  /** The first event of that name; rejects with what was said when the process ends without it. */
  async event(name: string): Promise<CliEvent> {
    for (;;) {
      const found = this.events.find(({ event }) => event === name);
      if (found !== undefined) return found;
      if (this.#over) {
        const { code, stdout, stderr } = await this.ended;
        throw new Error(`serve ended with ${code} before \`${name}\`:\n${stdout}${stderr}`);
      }
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  /** Pids of the ranks, from the status. */
  async rankPids(): Promise<number[]> {
    const { stdout } = await runCli(['status', '--json'], { TWINKLE_HOME: this.home });
    const servers = stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Partial<HeadStatus>);
    const mine = servers.find(({ pid }) => pid === this.pid);
    return (mine?.models ?? []).flatMap(({ replicas }) =>
      replicas.flatMap(({ ranks }) => ranks.flatMap(({ pid }) => (pid === null ? [] : [pid]))),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#over) this.child.kill('SIGTERM');
    await this.ended;
    if (this.ownsHome) rmSync(this.home, { recursive: true, force: true });
  }

  #tell(): void {
    for (const tell of this.#waiters.splice(0)) tell();
  }
}

/** Run a command of the CLI to its end. */
export async function runCli(args: readonly string[], env: Record<string, string> = {}): Promise<CliEnd> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const [code, signal] = await once(child, 'close');
  return { code, signal, stdout, stderr };
}
