/** The head of one box: builds every service from a compiled configuration and ends them in order. Wiring only. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { PYTHON_WORKERS, packageVersion } from '../config/package-root.js';
import type { ModelConfig, ServeConfig } from '../config/types.js';
import { TwinkleError } from '../errors.js';
import { loadNative } from '../native/load.js';
import type { Native } from '../native/types.js';
import { type FileLogger, fileLogger, type Logger, SILENT } from '../observability/logger.js';
import { ModelDirectory } from '../serving/inference.js';
import type { FleetControl } from '../serving/types/control.js';
import type { Inference } from '../serving/types.js';
import { ProcessWatcher } from '../supervisor/process-watcher.js';
import { engineEnvironment } from '../supervisor/rank-environment.js';
import { endInstance } from '../supervisor/teardown.js';
import type { LocalTrainingService } from '../training/service.js';
import type { TrainingService } from '../training/types.js';
import { openZmqHub } from '../transport/zmq-hub.js';
import { deferred } from '../util/deferred.js';
import { Emitter } from '../util/emitter.js';
import { runAll } from '../util/run-all.js';
import { deviceHolders } from './device-holders.js';
import { makeFolders } from './folders.js';
import type { GangContext } from './gang-ground.js';
import { HeadModels } from './head-models.js';
import type { HeadOptions } from './head-options.js';
import type { HttpFront } from './http-front.js';
import { fetchedFromHub } from './hub-models.js';
import { ModelBuckets } from './model-buckets.js';
import { checkpointRoot, openCheckpointStore } from './open-checkpoint-store.js';
import { openOwnPlacement } from './own-placement.js';
import { membershipOf, type PlacementSource } from './place-replicas.js';
import { stepFields } from './step-fields.js';
import { sweepHome } from './sweep-home.js';
import { admissionsOf, supportedModels, trainingRules } from './training-rules.js';
import type { Head, HeadEvents, HeadStatus } from './types.js';
import { WarmPool } from './warm-pool.js';
import type { ModelNews } from './watch-model.js';

/** A timer of more than 2^31 − 1 ms would fire at once: `drain(Infinity)` means as long as it takes. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Start a head. Resolves when it listens and its ranks are being started; await {@link Head.ready} for the models. */
export async function startHead(config: ServeConfig, options: HeadOptions): Promise<Head> {
  const head = new RunningHead(config, options);
  try {
    await head.start();
  } catch (error) {
    await head.close();
    throw error;
  }
  return head;
}

class RunningHead implements Head {
  readonly instance = randomBytes(6).toString('hex');
  readonly #startedAt = Date.now();
  #log: Logger;
  #ownLog: FileLogger | null = null;
  readonly #native: Native;
  readonly #events: Emitter<HeadEvents>;
  readonly #disposals: (() => PromiseLike<void> | void)[] = [];
  readonly #ready = deferred<void>();
  #models: HeadModels | null = null;
  #directory = new ModelDirectory([]);
  #training: LocalTrainingService | null = null;
  #http: HttpFront | null = null;
  #started = false;
  #wasReady = false;
  #placement: PlacementSource | null = null;
  #closing: Promise<void> | null = null;

  constructor(
    readonly config: ServeConfig,
    readonly options: HeadOptions,
  ) {
    this.#log = options.logger ?? SILENT; // until the log folder exists
    this.#native = options.native ?? loadNative();
    this.#events = new Emitter((error) => this.#log.error({ error: String(error) }, 'listener_threw'));
    for (const [event, listener] of Object.entries(options.on ?? {})) this.on(event as keyof HeadEvents, listener);
    this.#ready.promise.catch(() => {}); // whoever awaits ready() sees it
  }

  get inference(): Inference {
    return this.#models?.fleet.inference ?? this.#directory;
  }

  get control(): FleetControl | null {
    return this.#models?.fleet.control ?? null;
  }

  get training(): TrainingService | null {
    return this.#training;
  }

  get url(): string | null {
    return this.#http?.url ?? null;
  }

  async start(): Promise<void> {
    const { config, options } = this;
    const env = options.env ?? process.env;
    if (options.ownProcess === true) this.#native.setSubreaper(true);
    await sweepHome(config.home);
    const folders = makeFolders(config.home, this.instance);
    this.#disposals.push(() => folders.remove());
    if (options.logger === undefined) this.#ownLog = fileLogger(config.logLevel, join(folders.logs, 'head.log'));
    this.#log = options.logger ?? this.#ownLog ?? SILENT;
    const hub = await openZmqHub({
      address: `ipc://${join(folders.sockets, 'ranks')}`,
      onBadFrame: (identity, error) => this.#log.error({ identity, error: String(error) }, 'bad_frame'),
    });
    this.#disposals.push(() => hub[Symbol.asyncDispose]());
    const nowMs = (): number => performance.now();
    const buckets = new ModelBuckets(config.home, this.instance, this.#log);
    this.#disposals.push(() => buckets[Symbol.asyncDispose]());
    // Before anything that takes long: who has to mend it hears at once.
    const checkpointStore = await openCheckpointStore(config, this.#log);
    this.#disposals.push(() => checkpointStore?.[Symbol.asyncDispose]());
    const { pythons, signal } = options;
    const hubs = { pythons, env, ...(signal === undefined ? {} : { signal }) };
    const trained = await fetchedFromHub(config.trained, hubs);
    const models = await fetchedFromHub(await buckets.fetched(config.models, options.signal), hubs);
    const pool = new WarmPool(this.#native, ProcessWatcher.of(this.#native), folders.logs);
    const engineEnv = engineEnvironment(env, PYTHON_WORKERS, config.logLevel);
    const context = ({ engine }: Pick<ModelConfig, 'engine'>): GangContext => {
      const python = options.pythons.get(engine)?.python;
      if (python === undefined) throw new TwinkleError('PYTHON_ENV', `no Python is known for engine \`${engine}\``);
      return {
        native: this.#native,
        watcher: ProcessWatcher.of(this.#native),
        hub,
        instance: this.instance,
        inherited: env,
        incidentFolder: folders.incidents,
        nowMs,
        python: {
          python,
          env: { ...engineEnv, TWINKLE_INSTANCE: this.instance },
          parentDeathSignal: options.ownProcess === true,
        },
        logFolder: folders.logs,
        supervision: config.supervision,
        pool,
      };
    };
    const news: ModelNews = {
      progress: (model, progress) => this.#events.emit('progress', model, progress),
      failed: (model, reason, incident) => this.#events.emit('failed', model, reason, incident),
      recovered: (model, elapsedMs) => this.#events.emit('recovered', model, elapsedMs),
      change: () => this.#changed(),
    };
    const all = new HeadModels({
      config: { ...config, trained },
      models,
      buckets,
      log: this.#log,
      news,
      context,
      nowMs,
    });
    this.#models = all;
    const { fleet, trainers } = all;
    this.#directory = fleet.directory;
    const placement = options.placement ?? this.#ownPlacement();
    this.#placement = placement;
    await all.place(placement);
    // Imported only now, as HTTP is: the ranks' interpreters start meanwhile.
    const { LocalTrainingService } = await import('../training/service.js');
    const checkpointFolder = checkpointRoot(config.home);
    const journalFolder = join(config.home, 'training');
    const { control, sampling } = fleet;
    const supported = supportedModels(config.twinkle);
    const parts = { inference: this.inference, trainers, sampling, log: this.#log, nowMs, supported };
    const rules = trainingRules(config);
    const admissions = admissionsOf(config.twinkle, nowMs);
    const training = new LocalTrainingService({
      ...parts,
      checkpointFolder,
      checkpointStore,
      journalFolder,
      rules,
      admissions,
    });
    this.#training = training;
    training.watch.on('stepped', (report) => this.#log.info(stepFields(report), 'training_step'));
    this.#disposals.push(() => training.close());
    await training.restore();
    if (options.listen !== false) {
      const { openHttp } = await import('./http-front.js');
      this.#http = await openHttp({
        config,
        inference: this.inference,
        control,
        training,
        status: () => this.status(),
        phase: () => this.#phase(),
        instance: this.instance,
        startedAt: this.#startedAt,
        logger: this.#log,
        logFolder: folders.logs,
        socketFolder: folders.sockets,
        cluster: () => placement.cluster.snapshot(),
      });
    }
    this.#started = true;
    this.#changed();
  }

  status(): HeadStatus {
    const training = this.#models?.trainers.status(this.#training?.watch.runs() ?? []) ?? [];
    const models = this.inference.models();
    const devices = deviceHolders(models, training);
    return {
      kind: 'serve',
      instance: this.instance,
      pid: process.pid,
      version: packageVersion(),
      startedAt: this.#startedAt,
      url: this.url,
      home: this.config.home,
      cluster: membershipOf(this.#placement),
      phase: this.#phase(),
      models,
      ...(training.length > 0 ? { training } : {}),
      ...(devices.length > 0 ? { devices } : {}),
    };
  }

  ready(): Promise<void> {
    return this.#ready.promise;
  }

  async drain(timeoutMs: number): Promise<boolean> {
    this.#log.info({ timeoutMs }, 'drain');
    const drained = this.#directory.drain().then(() => true);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), Math.min(timeoutMs, LONGEST_TIMER_MS));
    });
    const clean = await Promise.race([drained, late]);
    clearTimeout(timer);
    return clean;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  on<K extends keyof HeadEvents>(event: K, listener: HeadEvents[K]): void {
    this.#events.on(event, listener);
  }

  async #close(): Promise<void> {
    // What the cut does to requests must not be what the next server remembers of them.
    this.#training?.[Symbol.dispose]();
    this.#directory.cut(new TwinkleError('DRAINING', 'the server is shutting down; this request was cut'));
    this.#ready.reject(new TwinkleError('DRAINING', 'the head was closed before it was ready'));
    const native = this.#native;
    // A door that does not close must leave no process behind.
    const errors = await runAll([
      () => this.#http?.close(),
      () => this.#models?.stop(),
      () => endInstance(native, ProcessWatcher.of(native), this.instance),
      () => this.#models?.release(),
      ...this.#disposals.reverse(),
    ]);
    this.#log.info({ instance: this.instance, errors: errors.map(String) }, 'closed');
    this.#ownLog?.close();
    if (errors.length > 0) throw errors[0];
  }

  #ownPlacement(): PlacementSource {
    const placement = openOwnPlacement(this.config, this.#native.cpu());
    this.#disposals.push(() => placement.cluster[Symbol.asyncDispose]());
    return placement;
  }

  #phase(): HeadStatus['phase'] {
    if (this.#closing !== null) return 'stopped';
    if (!this.#directory.accepting) return 'draining';
    return this.#models?.phase(this.#wasReady) ?? 'starting';
  }

  #changed(): void {
    if (this.#closing !== null) return;
    if (this.#started && this.#phase() === 'ready' && !this.#wasReady) {
      this.#wasReady = true;
      this.#ready.resolve();
      this.#events.emit('ready', this.url);
    }
    const fatal = this.#models?.fatal(this.#wasReady) ?? null;
    if (fatal === null) return;
    this.#ready.reject(fatal);
    this.#events.emit('fatal', fatal);
  }
}
