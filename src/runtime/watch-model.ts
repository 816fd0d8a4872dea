/** Turns what gangs and placement groups of a model do into what serving and the head's listeners need to know. */
import { TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import type { StartProgress } from '../serving/types.js';
import type { BuiltModel } from './build-model.js';
import type { PlacementNews } from './place-replicas.js';
import type { PlacedGang } from './placed-gang.js';

export interface ModelNews {
  progress(model: string, progress: StartProgress): void;
  failed(model: string, reason: string, incident: string | null): void;
  recovered(model: string, elapsedMs: number): void;
  /** The state of the model may have changed. */
  change(): void;
}

/** What a program that embeds the server must know of a failure, and a client must not: how the rank ended and what it said last. */
export function detailsOf({ gang }: PlacedGang): Readonly<Record<string, unknown>> {
  const { incident, spec } = gang;
  if (incident === null) return { gang: spec.id };
  const { epoch, failure, lastWords, log, path } = incident;
  const { kind, message, rank } = failure;
  return { gang: spec.id, epoch, kind, rank, reason: message, incident: path, log, lastWords };
}

/** The error that ends a model all of whose gangs have given up; `details` have the last failure of the first of them. */
export function modelFailure(built: BuiltModel): TwinkleError | null {
  const wanted = built.gangs.filter(({ parked }) => !parked);
  const failures = wanted.map(({ state }) => (state.at === 'failed' ? state.failure : null));
  const [first] = failures;
  const [placed] = wanted;
  if (placed === undefined || first === undefined || first === null || failures.includes(null)) return null;
  const loss = wanted.find((one) => one.loss !== null)?.loss ?? null;
  if (loss !== null) return loss;
  const name = built.service.names[0] ?? '';
  const details = detailsOf(placed);
  if (first.kind === 'load' && !first.retry) {
    return new TwinkleError('LOAD_FAILED', `model \`${name}\` cannot be loaded: ${first.message}`, { details });
  }
  if (first.kind === 'spawn' && !first.retry) return new TwinkleError('PYTHON_ENV', first.message, { details });
  return new TwinkleError(
    'GANG_FAILED',
    `model \`${name}\` broke too often and is not started again; last: ${first.message}. See \`npx twinkle-node logs\` and the incident files`,
    { details },
  );
}

/**
 * Subscribe to a model's gangs.
 * @returns what the keepers of its groups tell
 */
export function watchModel(built: BuiltModel, log: Logger, nowMs: () => number, news: ModelNews): PlacementNews {
  const { service } = built;
  const name = service.names[0] ?? '';
  for (const [at, placed] of built.gangs.entries()) {
    const { gang } = placed;
    gang.events.on('progress', (rank, { phase, progress, detail }) => {
      log.debug({ gang: gang.spec.id, rank, phase, progress, detail }, 'rank_phase');
      tell(phase, progress, detail, gang.startedAtMs);
    });
    gang.events.on('incident', (failure, incident) => {
      service.reason = failure.message;
      log.error({ gang: gang.spec.id, epoch: gang.epoch, ...failure, incident }, 'gang_failed');
      news.failed(name, failure.message, incident);
    });
    let launched = 0;
    gang.events.on('change', () => {
      // Importing an engine's libraries takes seconds in which no rank can say anything.
      if (gang.state.at === 'starting' && gang.epoch !== launched)
        tell('launch', 0, 'processes and their libraries', gang.startedAtMs);
      launched = gang.epoch;
      changed(placed);
      // Looking begins to tell it what its fellows know.
      void built.service.replicas[at]?.gang.lead;
    });
  }

  return {
    waiting: (detail, sinceMs) => {
      if (service.reason !== null) service.reason = detail;
      tell('placement', 0, detail, sinceMs);
    },
    moved: (reason) => {
      service.reason = reason;
      news.failed(name, reason, null);
    },
    changed: () => {
      for (const placed of built.gangs) giveUp(placed);
      news.change();
    },
  };

  function tell(phase: string, progress: number, detail: string, sinceMs: number): void {
    const started: StartProgress = { phase, progress, detail, elapsedMs: nowMs() - sinceMs };
    service.progress = started;
    news.progress(name, started);
  }

  function changed(placed: PlacedGang): void {
    const { gang } = placed;
    const { at } = placed.state;
    log.info({ gang: gang.spec.id, epoch: gang.epoch, state: gang.state.at, pids: gang.pids }, 'gang_state');
    if (at === 'ready') {
      if (service.reason !== null) news.recovered(name, nowMs() - gang.startedAtMs);
      service.reason = null;
      service.progress = null;
      service.dispatch();
    }
    giveUp(placed);
    news.change();
  }

  /** What waits is failed when no replica is left to serve it. */
  function giveUp({ state }: PlacedGang): void {
    if (state.at !== 'failed') return;
    service.reason ??= state.failure.message;
    const failure = modelFailure(built);
    if (failure !== null) service.replicaFailed(failure);
  }
}
