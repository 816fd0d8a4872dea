/** The models of a head: built, placed by their groups, and ended in order. Wiring only. */
import { randomBytes } from 'node:crypto';
import { planGroups } from '../engines/placement.js';
import type { TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import { ModelDirectory } from '../serving/inference.js';
import type { BuiltModel } from './build-model.js';
import { GroupKeeper, type PlacementNews, type PlacementSource } from './place-replicas.js';
import type { HeadStatus } from './types.js';
import { type ModelNews, modelFailure, watchModel } from './watch-model.js';

export class Fleet {
  readonly directory: ModelDirectory;
  readonly #models: readonly BuiltModel[];
  readonly #news: readonly PlacementNews[];
  readonly #log: Logger;
  readonly #nowMs: () => number;
  #keepers: readonly GroupKeeper[] = [];

  /** Engines begin to import their libraries at once. */
  constructor(models: readonly BuiltModel[], log: Logger, nowMs: () => number, news: ModelNews) {
    this.#models = models;
    this.#log = log;
    this.#nowMs = nowMs;
    this.directory = new ModelDirectory(models.map(({ service }) => service));
    this.#news = models.map((built) => watchModel(built, log, nowMs, news));
    for (const { launcher } of models) launcher.prepare();
  }

  /** Ask for the groups of all models; each starts its ranks when it has its places. */
  async place(source: PlacementSource): Promise<void> {
    const cpus = source.cluster.kind === 'own' ? await totalCpus(source) : null;
    const plans = planGroups(
      this.#models.map(({ config }) => config),
      cpus,
    );
    // Two servers of one model may share a head.
    const namespace = `serve-${randomBytes(6).toString('hex')}`;
    this.#keepers = this.#models.flatMap((built, at) =>
      (plans[at] ?? []).map((plan) => {
        const gangs = plan.replicas.flatMap((replica) => built.gangs[replica] ?? []);
        const news = this.#news[at] as PlacementNews;
        return new GroupKeeper(plan, gangs, { source, namespace, news, log: this.#log, nowMs: this.#nowMs });
      }),
    );
    for (const keeper of this.#keepers) void keeper.open();
  }

  /** `degraded` once it was ready. */
  phase(wasReady: boolean): HeadStatus['phase'] {
    const gangs = this.#models.flatMap((model) => model.gangs);
    if (gangs.every(({ state }) => state.at === 'ready')) return 'ready';
    if (gangs.every(({ state }) => state.at === 'failed')) return 'failed';
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
    for (const keeper of this.#keepers) keeper.halt();
    await Promise.all(
      this.#models.flatMap(({ gangs, launcher }) => [
        ...gangs.map(({ gang }) => gang.stop()),
        launcher[Symbol.asyncDispose](),
      ]),
    );
  }

  /** Remove the groups: nothing of their ranks may be left. */
  async release(): Promise<void> {
    await Promise.all(this.#keepers.map((keeper) => keeper.release()));
  }
}

async function totalCpus({ cluster }: PlacementSource): Promise<number> {
  const { nodes } = await cluster.snapshot();
  return nodes.reduce((sum, { resources }) => sum + (resources.CPU ?? 0), 0);
}
