/** What is seen of runs while they train: figures alone, never a key, a name that a client chose, or what it trains on. */

/** Which run it is about. */
export interface RunLabels {
  readonly run: string;
  /** Served name of its base model. */
  readonly model: string;
}

/** A run at a moment. Plain JSON. */
export interface RunStatus {
  /** `<session>:train:<number>`. */
  readonly id: string;
  readonly model: string;
  /** Of its LoRA; 0: all parameters of the model are trained. */
  readonly rank: number;
  /** starting: it is being made; parked: on disk until something is asked of it, or there is room; lost: its weights are gone. */
  readonly state: 'starting' | 'ready' | 'parked' | 'lost';
  /** Why it is lost; null while it is not. */
  readonly reason: string | null;
  /** Number of the last optimizer step; a run that goes on from a checkpoint goes on counting. */
  readonly step: number;
  /** Steps made since this server has it; parked, it keeps them through a restart. */
  readonly steps: number;
  /** Datums that went through forward_backward. */
  readonly datums: number;
  /** Tokens of them. */
  readonly tokens: number;
  /** Sum of `loss:sum` over the forward_backwards of the last step; null: there was none. */
  readonly loss: number | null;
  /** By the weight of its target tokens; null: the loss has no such weights. */
  readonly lossPerToken: number | null;
  readonly gradNorm: number | null;
  /** Of the last steps, while they were computed. */
  readonly tokensPerSecond: number | null;
  /** Of the last step: from its first request's departure to the ranks, or the end of the step before, to its end. */
  readonly stepMs: number | null;
  /** Of the last step: the longest that one of its requests waited before it was sent to the ranks. */
  readonly queueMs: number | null;
  /** The most that the log-probabilities of a sampler and of the trainer differed by, over the tokens of a prompt; null: not compared yet. */
  readonly samplerGap: number | null;
  /** Requests that wait to be sent. */
  readonly queued: number;
  /** Unix ms. */
  readonly created: number;
  /** Unix ms. */
  readonly lastRequest: number;
}

/** Consecutive steps that are told as one. */
export interface CurvePoint {
  /** Number of the last of them. */
  readonly step: number;
  /** Mean of their losses. */
  readonly loss: number;
  /** Of all of them, by the weight of their target tokens; null: unknown. */
  readonly lossPerToken: number | null;
}

/** A run, and the losses of its steps: of any number of steps, a few hundred points. */
export interface RunDetail extends RunStatus {
  readonly curve: readonly CurvePoint[];
}

/** An optimizer step that has been made. */
export interface StepReport
  extends RunLabels,
    Pick<RunStatus, 'step' | 'loss' | 'lossPerToken' | 'gradNorm' | 'tokensPerSecond'> {
  readonly datums: number;
  readonly tokens: number;
  readonly stepMs: number;
  readonly queueMs: number;
}

export interface TrainingEvents {
  stepped(report: StepReport): void;
  /** A request was sent to the ranks. @param waitedMs since it was taken */
  sent(of: RunLabels, waitedMs: number): void;
}

/** Runs of all tenants, for who owns the server. */
export interface TrainingWatch {
  /** Oldest first. */
  runs(): readonly RunStatus[];
  /** Null: there is none of that id. */
  run(id: string): RunDetail | null;
  /** Listen; returns how to stop. */
  on<K extends keyof TrainingEvents>(event: K, listener: TrainingEvents[K]): () => void;
}
