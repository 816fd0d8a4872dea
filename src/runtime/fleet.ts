/** The models of a head: built, placed by their groups, and ended in order. Wiring only. */
import type { Autoscaling } from '../config/types.js';
import type { GroupPlan } from '../engines/placement.js';
import type { TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import { AdaptedInference } from '../serving/adapted-inference.js';
import { ServedFleetControl } from '../serving/fleet-control.js';
import { ModelDirectory } from '../serving/inference.js';
import type { FleetControl } from '../serving/types/control.js';
import type { Inference } from '../serving/types.js';
import type { SamplingHost } from '../training/sampling-host.js';
import type { BuiltModel } from './build-model.js';
import { GroupKeeper, type KeeperContext, type PlacementNews } from './place-replicas.js';
import type { PlacedGang } from './placed-gang.js';
import { SamplingModels } from './sampling-models.js';
import { ReplicaScaler } from './scale-replicas.js';
import type { HeadStatus } from './types.js';
import { type ModelNews, modelFailure, watchModel } from './watch-model.js';

/** Where its groups are made. */
export type FleetGround = Pick<KeeperContext, 'source' | 'namespace'>;

export class Fleet {
  readonly directory: ModelDirectory;
  /** The directory, with adapters as models. */
  readonly inference: Inference;
  /** The directory, with adapters that no request can name. */
  readonly sampling: SamplingHost;
  readonly control: FleetControl;
  readonly #models: readonly BuiltModel[];
  readonly #placement: readonly PlacementNews[];
  readonly #news: ModelNews;
  readonly #log: Logger;
  readonly #nowMs: () => number;
  /** Of models whose replicas are all wanted, always. */
  #fixed: readonly GroupKeeper[] = [];
  readonly #scalers = new Map<BuiltModel, ReplicaScaler>();

  /** Engines begin to import their libraries at once. */
  constructor(models: readonly BuiltModel[], log: Logger, nowMs: () => number, news: ModelNews) {
    this.#models = models;
    this.#log = log;
    this.#nowMs = nowMs;
    this.directory = new ModelDirectory(models.map(({ service }) => service));
    const controlled = models.map(({ control }) => control);
    this.inference = new AdaptedInference(this.directory, controlled);
    this.sampling = new SamplingModels(this.directory, controlled);
    this.control = new ServedFleetControl(controlled);
    this.#news = news;
    this.#placement = models.map((built) => watchModel(built, log, nowMs, news));
    for (const { launcher } of models) launcher.prepare();
  }

  /** Ask for the groups of all models, in their order; each starts its ranks when it has its places. */
  place(plans: readonly (readonly GroupPlan[])[], { namespace, source }: FleetGround): void {
    this.#fixed = this.#models.flatMap((built, at) => {
      const news = this.#placement[at] as PlacementNews;
      const context = { source, namespace, news, log: this.#log, nowMs: this.#nowMs };
      if (built.config.autoscaling !== null) this.#scale(built, built.config.autoscaling, plans[at] ?? [], context);
      return built.config.autoscaling === null
        ? (plans[at] ?? []).map((plan) => new GroupKeeper(plan, gangsOf(built, plan), context))
        : [];
    });
    for (const keeper of this.#fixed) void keeper.open();
    for (const scaler of this.#scalers.values()) scaler.begin();
  }

  #scale(built: BuiltModel, policy: Autoscaling, plans: readonly GroupPlan[], context: KeeperContext): void {
    const slots = plans.flatMap((plan, at) => {
      const [gang] = gangsOf(built, plan);
      const replica = built.service.replicas[at];
      if (gang === undefined || replica === undefined) return [];
      const keep = (patient: boolean): GroupKeeper => new GroupKeeper(plan, [gang], { ...context, patient });
      return [{ gang, replica, keep }];
    });
    const model = built.service.names[0] ?? '';
    const { log, nowMs } = context;
    const changed = (): void => this.#news.change();
    this.#scalers.set(built, new ReplicaScaler(policy, built.service, slots, { model, log, nowMs, changed }));
  }

  get #keepers(): readonly GroupKeeper[] {
    return [...this.#fixed, ...[...this.#scalers.values()].flatMap(({ keepers }) => keepers)];
  }

  /** `degraded` once it was ready. */
  phase(wasReady: boolean): HeadStatus['phase'] {
    if (this.#models.every((model) => isReady(model, wasReady))) return 'ready';
    const gangs = this.#models.flatMap((model) => model.gangs.filter(({ parked }) => !parked));
    if (gangs.length > 0 && gangs.every(({ state }) => state.at === 'failed')) return 'failed';
    return wasReady ? 'degraded' : 'starting';
  }

  /** What ends the head. At the start one thing that cannot be had is one too many; later the others go on. */
  fatal(wasReady: boolean): TwinkleError | null {
    const failures = this.#models.map(modelFailure);
    const refused = this.#keepers.map(({ failure }) => failure);
    const [first] = [...refused, ...failures].filter((failure) => failure !== null);
    if (first === undefined || (wasReady && failures.includes(null))) return null;
    return first;
  }

  /** End every rank. */
  async stop(): Promise<void> {
    for (const scaler of this.#scalers.values()) scaler.halt();
    for (const keeper of this.#fixed) keeper.halt();
    await Promise.all(
      this.#models.flatMap(({ gangs, launcher }) => [
        ...gangs.map(({ gang }) => gang.stop()),
        launcher[Symbol.asyncDispose](),
      ]),
    );
  }

  /** Remove the groups: nothing of their ranks may be left. */
  async release(): Promise<void> {
    await Promise.all([...this.#scalers.values()].map((scaler) => scaler.settled()));
    await Promise.all(this.#keepers.map((keeper) => keeper.release()));
  }
}

function gangsOf({ gangs }: BuiltModel, plan: GroupPlan): PlacedGang[] {
  return plan.replicas.flatMap((replica) => gangs[replica] ?? []);
}

/** All replicas; of a model that scales those of the start, and later as many as there must be at least. */
function isReady({ config, gangs }: BuiltModel, wasReady: boolean): boolean {
  const { autoscaling } = config;
  const ready = gangs.filter(({ state }) => state.at === 'ready').length;
  if (autoscaling === null) return ready === gangs.length;
  return ready >= (wasReady ? autoscaling.min : autoscaling.initial);
}
