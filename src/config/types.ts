/**
 * The compiled configuration: defaults are in, nothing is optional, nothing is checked again later.
 * What users write (flags, environment, YAML, `createServer` options) becomes this in `compile.ts`.
 */

/** Engines that `--engine` names. */
export type EngineName = 'transformers' | 'mock';

/** One model to serve. */
export interface ModelConfig {
  /** Absolute folder or hub id; the built-in `demo` is compiled to its folder. For the mock engine any word. */
  readonly model: string;
  /** Names that clients use; the first one is shown in answers. */
  readonly servedNames: readonly string[];
  readonly engine: EngineName;
  readonly tensorParallel: number;
  readonly pipelineParallel: number;
  readonly dataParallel: number;
  /** Exactly these devices (uuids, in the order given); empty: CPU. */
  readonly devices: readonly DeviceChoice[];
  /** Null: what the model says. */
  readonly maxModelLen: number | null;
  /** Engine arguments by their own names, untouched. */
  readonly engineArgs: Readonly<Record<string, unknown>>;
}

export interface DeviceChoice {
  readonly kind: 'gpu' | 'npu';
  readonly index: number;
  readonly uuid: string;
}

export interface HttpConfig {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Path of a unix socket instead of host and port. */
  readonly uds: string | null;
  /** Bytes of a request body at most. */
  readonly bodyLimit: number;
  /** Requests that wait for a slot at most, over all tenants; one more gets 429. */
  readonly maxQueue: number;
}

export interface AuthConfig {
  /**
   * `keys`: one of the hashes must match. `anonymous`: loopback with no key configured; each key shown is a tenant, none is `local`.
   * `off`: `--no-auth` was said.
   */
  readonly mode: 'keys' | 'anonymous' | 'off';
  /** SHA-256 of the accepted keys, hex. */
  readonly keyHashes: readonly string[];
  /** A key that was generated in this start and must be printed once; never logged. */
  readonly generatedKey: string | null;
}

export interface PythonConfig {
  /** The user's own interpreter, or null: the environment that `setup` makes. */
  readonly interpreter: string | null;
  /** False with `--no-setup`: a missing environment is an error that names the command. */
  readonly mayInstall: boolean;
}

export interface SupervisionConfig {
  /** A drain ends after so long, finished or not. */
  readonly shutdownTimeoutMs: number;
  /** Deadline of each phase of a start. */
  readonly phaseTimeoutMs: number;
  /** Restarts within the window that open the crash-loop breaker. */
  readonly crashLoopLimit: number;
  readonly crashLoopWindowMs: number;
}

/** Everything that `serve` needs to know. */
export interface ServeConfig {
  readonly models: readonly ModelConfig[];
  readonly http: HttpConfig;
  readonly auth: AuthConfig;
  readonly python: PythonConfig;
  readonly supervision: SupervisionConfig;
  /** Folder of state, logs and sockets (`TWINKLE_HOME`). */
  readonly home: string;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error';
}
