/** The outside of a command, for tests: collected output, fake signals, a fake head, a Python that is a shell script. */
import { EventEmitter } from 'node:events';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CliIo, CliParts } from '../../../src/cli/io.js';
import { runCli } from '../../../src/cli/run.js';
import type { ServeConfig } from '../../../src/config/types.js';
import { createFakeNative } from '../../../src/native/fake.js';
import type { HeadOptions } from '../../../src/runtime/head-options.js';
import type { Head, HeadEvents, HeadStatus } from '../../../src/runtime/types.js';

/** A promise and its ends. */
export function deferred<T>(): { promise: Promise<T>; resolve(value: T): void; reject(error: unknown): void } {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** A head that does what the test says. */
export class FakeHead implements Head {
  readonly control = null;
  readonly training = null;
  readonly instance = 'abc';
  readonly url = 'http://127.0.0.1:8123';
  readonly events = new EventEmitter();
  /** Resolves when somebody waits for the models: all listeners are attached then. */
  readonly asked = deferred<void>();
  readonly readiness = deferred<void>();
  readonly draining = deferred<number>();
  readonly drained = deferred<boolean>();
  closed = 0;
  get inference(): never {
    throw new Error('not in this test');
  }
  status(): HeadStatus {
    return {
      kind: 'serve',
      instance: 'abc',
      pid: process.pid,
      version: '0',
      startedAt: 0,
      url: this.url,
      home: '/h',
      phase: 'ready',
      cluster: { kind: 'own', connected: true },
      models: [],
    };
  }
  ready(): Promise<void> {
    this.asked.resolve();
    return this.readiness.promise;
  }
  drain(timeoutMs: number): Promise<boolean> {
    this.draining.resolve(timeoutMs);
    return this.drained.promise;
  }
  async close(): Promise<void> {
    this.closed++;
  }
  on<K extends keyof HeadEvents>(event: K, listener: HeadEvents[K]): void {
    this.events.on(event, listener);
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** A running command. */
export class Session {
  readonly signals = new EventEmitter();
  readonly head = new FakeHead();
  readonly folder = mkdtempSync(join(tmpdir(), 'twinkle-cli-'));
  readonly home = join(this.folder, 'home');
  stdout = '';
  stderr = '';
  config: ServeConfig | null = null;
  options: HeadOptions | null = null;
  /** What `startHead` does instead of succeeding. */
  startError: unknown = null;
  readonly env: Record<string, string> = {
    PATH: process.env.PATH ?? '',
    HOME: this.folder,
    TWINKLE_HOME: this.home,
    TWINKLE_CACHE: join(this.folder, 'cache'),
  };
  parts: CliParts = {
    head: async () => async (config, options) => {
      this.config = config;
      this.options = options;
      for (const [event, listener] of Object.entries(options.on ?? {})) {
        this.head.on(event as keyof HeadEvents, listener);
      }
      if (this.startError !== null) throw this.startError;
      return this.head;
    },
    standaloneHead: async () => {
      throw new Error('not in this test');
    },
    agent: async () => {
      throw new Error('not in this test');
    },
    native: async () => createFakeNative(),
    probeNative: async () => null,
  };

  /** Resolves when the collected text contains `text`. */
  async saw(stream: 'stdout' | 'stderr', text: string): Promise<void> {
    while (!this[stream].includes(text)) await new Promise((resolve) => this.#wakers.add(() => resolve(null)));
  }
  readonly #wakers = new Set<() => void>();

  io(tty = false): CliIo {
    const output = (stream: 'stdout' | 'stderr') => ({
      write: (text: string) => {
        this[stream] += text;
        for (const wake of this.#wakers) wake();
        this.#wakers.clear();
      },
      isTTY: tty,
      columns: 80,
    });
    return {
      stdout: output('stdout'),
      stderr: output('stderr'),
      env: this.env,
      cwd: this.folder,
      signals: this.signals,
    };
  }

  run(...argv: string[]): Promise<number> {
    return runCli(argv, this.io(), this.parts);
  }

  /** An interpreter that claims to have everything. */
  python(): string {
    const path = join(this.folder, 'python');
    const versions = { pyzmq: '1', msgspec: '1', torch: '1', transformers: '1', safetensors: '1', jinja2: '1' };
    const report = { executable: path, version: [3, 12, 0], prefix: '/', venv: true, versions, broken: {} };
    writeFileSync(path, `#!/bin/sh\necho 'twinkle-probe:${JSON.stringify(report)}'\n`);
    chmodSync(path, 0o755);
    return path;
  }

  /** The objects on stdout. */
  lines(): Record<string, unknown>[] {
    return this.stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}
