/** Runs as those see them who own the server. Reads; changes nothing. */
import type { Emitter } from '../util/emitter.js';
import type { Run } from './run.js';
import type { RunDetail, RunStatus, TrainingEvents, TrainingWatch } from './types/progress.js';

/** What it reads from. */
export interface WatchedRuns {
  readonly events: Emitter<TrainingEvents>;
  all(): Iterable<Run>;
}

export class RunWatch implements TrainingWatch {
  constructor(private readonly from: WatchedRuns) {}

  runs(): readonly RunStatus[] {
    return Array.from(this.from.all(), statusOf);
  }

  run(id: string): RunDetail | null {
    for (const run of this.from.all()) {
      if (run.id === id) return { ...statusOf(run), curve: run.progress.curve.points() };
    }
    return null;
  }

  on<K extends keyof TrainingEvents>(event: K, listener: TrainingEvents[K]): () => void {
    return this.from.events.on(event, listener);
  }
}

function statusOf(run: Run): RunStatus {
  const { early, id, lastRequest, loss, progress, spec, state, trainer, waiting } = run;
  const { datums, labels, last, steps, tokens } = progress;
  const gone = trainer?.gone === true;
  return {
    id,
    model: labels.model,
    rank: spec.rank,
    state,
    reason: loss?.message ?? (gone ? 'the ranks that trained it have ended' : null),
    step: last?.step ?? 0,
    steps,
    datums,
    tokens,
    loss: last?.loss ?? null,
    lossPerToken: last?.lossPerToken ?? null,
    gradNorm: last?.gradNorm ?? null,
    tokensPerSecond: last?.tokensPerSecond ?? null,
    stepMs: last?.stepMs ?? null,
    queueMs: last?.queueMs ?? null,
    samplerGap: progress.samplerGap,
    queued: waiting.length + early,
    // A run that a server before this one has lost is older than this one knows.
    created: Math.min(progress.begun, lastRequest),
    lastRequest,
  };
}
