/** Turns what gangs of a model do into what serving and the head's listeners need to know. */
import { TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import type { StartProgress } from '../serving/types.js';
import type { Gang } from '../supervisor/gang.js';
import type { BuiltModel } from './build-model.js';

export interface ModelNews {
  progress(model: string, progress: StartProgress): void;
  failed(model: string, reason: string, incident: string | null): void;
  recovered(model: string, elapsedMs: number): void;
  /** The state of the model may have changed. */
  change(): void;
}

/** The error that ends a model all of whose gangs have given up. */
export function modelFailure(built: BuiltModel): TwinkleError | null {
  const failures = built.gangs.map(({ state }) => (state.at === 'failed' ? state.failure : null));
  const [first] = failures;
  if (first === undefined || first === null || failures.includes(null)) return null;
  const name = built.service.names[0] ?? '';
  if (first.kind === 'load' && !first.retry) {
    return new TwinkleError('LOAD_FAILED', `model \`${name}\` cannot be loaded: ${first.message}`);
  }
  if (first.kind === 'spawn' && !first.retry) return new TwinkleError('PYTHON_ENV', first.message);
  return new TwinkleError(
    'GANG_FAILED',
    `model \`${name}\` broke too often and is not started again; last: ${first.message}. See \`npx twinkle-node logs\` and the incident files`,
  );
}

/** Subscribe to a model's gangs. */
export function watchModel(built: BuiltModel, log: Logger, nowMs: () => number, news: ModelNews): void {
  const { service } = built;
  const name = service.names[0] ?? '';
  for (const gang of built.gangs) {
    gang.events.on('progress', (rank, { phase, progress, detail }) => {
      log.debug({ gang: gang.spec.id, rank, phase, progress, detail }, 'rank_phase');
      tell(gang, phase, progress, detail);
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
        tell(gang, 'launch', 0, 'processes and their libraries');
      launched = gang.epoch;
      changed(gang);
    });
  }

  function tell(gang: Gang, phase: string, progress: number, detail: string): void {
    const started: StartProgress = { phase, progress, detail, elapsedMs: nowMs() - gang.startedAtMs };
    service.progress = started;
    news.progress(name, started);
  }

  function changed(gang: Gang): void {
    const { at } = gang.state;
    log.info({ gang: gang.spec.id, epoch: gang.epoch, state: at, pids: gang.pids }, 'gang_state');
    if (at === 'ready') {
      if (service.reason !== null) news.recovered(name, nowMs() - gang.startedAtMs);
      service.reason = null;
      service.progress = null;
      service.dispatch();
    }
    const failure = at === 'failed' ? modelFailure(built) : null;
    if (failure !== null) service.replicaFailed(failure);
    news.change();
  }
}
