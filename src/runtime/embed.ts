/** `createServer`: a head inside somebody's Node process. Installs no signal handler, never exits, works any number of times. */
import type { FastifyPluginAsync } from 'fastify';
import { packageVersion } from '../config/package-root.js';
import { optionsLayer, type ServeOptions } from '../config/user-options.js';
import { TwinkleError } from '../errors.js';
import type { GatewayOptions } from '../gateway/types.js';
import { fakeDeviceReport } from '../native/fake-devices.js';
import { loadNative } from '../native/load.js';
import type { DeviceReport } from '../native/types.js';
import type { Logger } from '../observability/logger.js';
import { Metrics } from '../observability/metrics.js';
import type { WeightSource } from '../serving/types/weights.js';
import type { ServedModel } from '../serving/types.js';
import type { TensorStore } from '../tensor/tensor-store.js';
import { refuseUnplaceable } from './check-placement.js';
import { type ConfigureRequest, configure, QUIET, resolvePythons } from './configure.js';
import { OwnStores, replaceWeights, type UpdateWeightsOptions } from './embedded-weights.js';
import { type GeneratedPiece, type GenerateOptions, generateStream } from './generate-stream.js';
import { startHead } from './head.js';
import { HeadDoor } from './head-placement.js';
import { twinkleOffer } from './twinkle-offer.js';
import type { Head, HeadEvents, HeadStatus } from './types.js';

/** Options of {@link createServer}: those of `serve`, in camel case, and what only embedding needs. */
export interface CreateServerOptions extends ServeOptions {
  /** Listen on host and port (default), or only serve in process and through the plugin. */
  readonly listen?: boolean;
  /** Where to log; default: `head.log` in the log folder. pino's loggers fit. */
  readonly logger?: Logger;
  /** Told what happens, from the first phase on. */
  readonly on?: Readonly<Partial<HeadEvents>>;
  /** Environment to use instead of the process's own. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Ends a start that takes too long. */
  readonly signal?: AbortSignal;
}

/** A running server. `await using server = await createServer(…)` closes it at the end of the block. */
export interface Server extends AsyncDisposable {
  /** Where HTTP answers; null with `listen: false`. */
  readonly url: string | null;
  models(): readonly ServedModel[];
  status(): HeadStatus;
  /** Generate text in process, without HTTP. Pieces come as the engine makes them. */
  generate(options: GenerateOptions): AsyncIterableIterator<GeneratedPiece>;
  /**
   * Replace the weights of a model on all its replicas, without a restart (engine vllm): from a folder with safetensors, or from tensors
   * of a {@link tensorStore}, by their names in a checkpoint.
   * @throws TwinkleError; `INVALID_REQUEST` names the tensor that does not fit, and nothing has changed then
   */
  updateWeights(source: WeightSource, options?: UpdateWeightsOptions): Promise<void>;
  /** Shared memory of `size` bytes for tensors that ranks read without a copy; freed with the server. Throws `SHM_FULL`. */
  tensorStore(size: number): TensorStore;
  /** The HTTP routes, to mount: `app.register(server.plugin, { prefix: '/llm' })`. The host's hooks and parsers stay as they are. */
  readonly plugin: FastifyPluginAsync;
  /** Refuse new work and let running work finish. True when nothing had to be cut. */
  drain(timeoutMs: number): Promise<boolean>;
  /** End everything; when it resolves no process, socket or segment is left. */
  close(): Promise<void>;
}

/**
 * Start serving in this process. Resolves when the models are ready.
 * @throws TwinkleError with the code of what is wrong; nothing is left running then. Where ranks could not be started, loaded or kept alive
 *   (`GANG_FAILED`, `LOAD_FAILED`, `PYTHON_ENV`), `details` have the `reason`, the `lastWords` of the rank, its `log` and the `incident` file
 */
export async function createServer(options: CreateServerOptions = {}): Promise<Server> {
  return await startServer(options);
}

/** Of a server that starts by a file: which, and what is said of it elsewhere. */
export type OfFile = Pick<ConfigureRequest, 'configFile' | 'onlyTwinkle' | 'namespace'>;

/** As {@link createServer}, also by a file. */
export async function startServer(options: CreateServerOptions, file: OfFile = { configFile: null }): Promise<Server> {
  const { signal } = options;
  signal?.throwIfAborted();
  const door = new HeadDoor(signal);
  try {
    return await startAt(door, options, file);
  } catch (error) {
    await door[Symbol.asyncDispose]();
    throw error;
  }
}

async function startAt(door: HeadDoor, options: CreateServerOptions, file: OfFile): Promise<Server> {
  const { listen, logger, on, env = process.env, signal, ...serve } = options;
  const { layer, engineArgs, llmConfigs } = optionsLayer(serve);
  const fake = env.TWINKLE_FAKE_DEVICES;
  const devices = async (): Promise<DeviceReport> =>
    // The addon reads the process's own environment; a test may have given another.
    fake ? fakeDeviceReport(fake) : loadNative().devices();
  const compiled = await configure({
    written: layer,
    engineArgs,
    llmConfigs,
    env,
    cwd: process.cwd(),
    ...file,
    mayWrite: true,
    devices,
    cluster: (address, home) => door.kinds(address, home),
  });
  const { config } = compiled;
  const placement = await door.placement(compiled, devices);
  if (placement === null) refuseUnplaceable(config, loadNative().cpu());
  const pythons = await resolvePythons(config, { env, progress: QUIET, ...(signal === undefined ? {} : { signal }) });
  const head = await startHead(config, {
    pythons,
    ...(logger === undefined ? {} : { logger }),
    env,
    listen: listen ?? true,
    ...(signal === undefined ? {} : { signal }),
    ...(placement === null ? {} : { placement }),
    ...(on === undefined ? {} : { on }),
  });
  try {
    await untilReady(head, signal);
  } catch (error) {
    await head.close();
    throw error;
  }
  return asServer(head, door, {
    inference: head.inference,
    ...(head.control === null ? {} : { control: head.control }),
    ...(head.training === null ? {} : { training: head.training, twinkle: twinkleOffer(config, head.training, false) }),
    auth: config.auth,
    http: config.http,
    version: packageVersion(),
    startedAt: head.status().startedAt,
    phase: () => head.status().phase,
    logger: false,
  });
}

async function untilReady(head: Head, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return await head.ready();
  signal.throwIfAborted(); // while it began to listen
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  await Promise.race([head.ready(), aborted]);
}

function asServer(head: Head, door: HeadDoor, gateway: Omit<GatewayOptions, 'metrics'>): Server {
  const stores = new OwnStores();
  const close = async (): Promise<void> => {
    try {
      await head.close();
    } finally {
      stores[Symbol.dispose]();
      await door[Symbol.asyncDispose]();
    }
  };
  return {
    get url() {
      return head.url;
    },
    models: () => head.inference.models(),
    status: () => head.status(),
    generate: (options) => generateStream(head.inference, options),
    updateWeights: async (source, options = {}) => {
      const { control } = head;
      if (control === null) throw new TwinkleError('NOT_READY', 'the server has not been started');
      await replaceWeights(control, source, options);
    },
    tensorStore: (size) => stores.open(size),
    plugin: async (app) => {
      const { gatewayPlugin } = await import('../gateway/server.js');
      await gatewayPlugin(app, { ...gateway, metrics: new Metrics() });
    },
    drain: (timeoutMs) => head.drain(timeoutMs),
    close,
    [Symbol.asyncDispose]: close,
  };
}
