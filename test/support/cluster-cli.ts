/** A standalone head as a user starts it, in a home of its own, and what the CLI says of it. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { vi } from 'vitest';
import type { GroupStatus, NodeStatus } from '../../src/cluster/api.js';
import { CliServer, MAIN, runCli } from './cli.js';
import { isAlive, killProcess } from './gang-kit.js';

const PATIENCE = { timeout: 20_000, interval: 50 };

export interface HeadFacts {
  readonly address: string;
  readonly instance: string;
  readonly pid: number;
  readonly cluster: string;
  /** With `--port` only. */
  readonly join?: string;
}

export interface AgentFacts {
  /** Of the head. */
  readonly address: string;
  readonly instance: string;
  readonly pid: number;
  /** Id of the node. */
  readonly node: string;
}

/** A box with fake devices and, when {@link start} or {@link join} was called, a head or an agent. Dispose ends everything that runs in its home. */
export class FakeBox implements AsyncDisposable {
  readonly home = mkdtempSync(join(tmpdir(), 'twinkle-box-'));
  readonly env: Record<string, string>;

  constructor(devices: string) {
    this.env = { TWINKLE_HOME: this.home, TWINKLE_FAKE_DEVICES: devices };
  }

  async start(...flags: string[]): Promise<HeadFacts> {
    const { code, stdout, stderr } = await runCli(
      ['start', '--head', '--json', '--num-cpus', '16', ...flags],
      this.env,
    );
    if (code !== 0) throw new Error(`start --head ended with ${code}: ${stderr}`);
    return JSON.parse(stdout) as HeadFacts;
  }

  /** Be an agent of another head, by the line that it printed, as a shell runs it. */
  async join(line: string, ...flags: string[]): Promise<AgentFacts> {
    if (!line.startsWith('npx twinkle-node ')) throw new Error(`not a line for a shell: ${line}`);
    const own = line.replace('npx twinkle-node', `"${process.execPath}" "${MAIN}"`);
    const words = `${own} --json --num-cpus 16 ${flags.join(' ')}`;
    const { stdout } = await promisify(execFile)('bash', ['-c', words], { env: { ...process.env, ...this.env } });
    return JSON.parse(stdout) as AgentFacts;
  }

  /** A mock server; joins the head when one runs. */
  serve(...args: string[]): CliServer {
    return CliServer.start(['mock', '--engine', 'mock', ...args], this.env);
  }

  async nodes(): Promise<NodeStatus[]> {
    return (await this.#list('nodes')) as NodeStatus[];
  }

  async groups(): Promise<GroupStatus[]> {
    return (await this.#list('placement-groups')) as GroupStatus[];
  }

  /** Wait until it holds; asks the CLI again and again. */
  async until<T>(ask: () => Promise<T>, holds: (value: T) => boolean): Promise<T> {
    return await vi
      .waitUntil(async () => {
        const value = await ask();
        return holds(value) ? { value } : false;
      }, PATIENCE)
      .then(({ value }) => value);
  }

  /** SIGKILL, and wait for the end. */
  async kill(pid: number): Promise<void> {
    killProcess(pid, 'SIGKILL');
    await this.until(
      async () => isAlive(pid),
      (alive) => !alive,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await runCli(['stop', '--all', '--timeout', '5'], this.env);
    rmSync(this.home, { recursive: true, force: true });
  }

  async #list(what: string): Promise<unknown> {
    const { code, stdout, stderr } = await runCli(['list', what, '--json'], this.env);
    if (code !== 0) throw new Error(`list ${what} ended with ${code}: ${stderr}`);
    return JSON.parse(stdout);
  }
}
