/** What a command touches of the outside: streams, environment, signals, and the parts that are loaded only when needed. */
import type { Command } from 'commander';
import type { ServeConfig } from '../config/types.js';
import type { Native } from '../native/types.js';
import type { HeadOptions } from '../runtime/head-options.js';
import type { startAgent } from '../runtime/start-agent.js';
import type { startStandaloneHead } from '../runtime/start-head.js';
import type { Head } from '../runtime/types.js';

/** A stream to write text to. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** `process`, or a test's emitter. */
export interface SignalSource {
  on(signal: NodeJS.Signals, listener: () => void): unknown;
  off(signal: NodeJS.Signals, listener: () => void): unknown;
}

/** The outside of a command. */
export interface CliIo {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly signals: SignalSource;
  /** To the command that started this one as a process of its own; missing when nobody did. */
  readonly tellParent?: (message: object) => void;
}

/** `startHead` of runtime/head.ts. */
export type StartHead = (config: ServeConfig, options: HeadOptions) => Promise<Head>;

/** Parts that load on demand. Calling one begins its import, so ask early and await late. */
export interface CliParts {
  head(): Promise<StartHead>;
  /** runtime/start-head.ts. */
  standaloneHead(): Promise<{ readonly startStandaloneHead: typeof startStandaloneHead }>;
  /** runtime/start-agent.ts. */
  agent(): Promise<{ readonly startAgent: typeof startAgent }>;
  native(): Promise<Native>;
  /** Loads the addon in a child first: null when it works, else why not. A bad binary kills only the child. */
  probeNative(): Promise<string | null>;
}

/** A command's outside and its parts. */
export interface CliContext {
  readonly io: CliIo;
  readonly parts: CliParts;
}

/** Runs a command; the number is the exit code. */
export type Handler = (command: Command, context: CliContext) => Promise<number>;
