/** What the routes of one gateway share. */

import type { Cell, Family } from '../observability/metrics.js';
import type { FleetControl } from '../serving/types/control.js';
import type { Inference } from '../serving/types.js';
import type { TrainingService } from '../training/types.js';
import { type GatewayMetrics, gatewayMetrics } from './gateway-metrics.js';
import { type Authenticate, authenticator } from './http/auth.js';
import { FlushQueue } from './sse/flush-queue.js';
import { LiveResponses } from './sse/live-responses.js';
import { trainingMetrics } from './training-metrics.js';
import type { GatewayLogger, GatewayOptions, HeadPhase, TwinkleOffer } from './types.js';

const KEEP_ALIVE_MS = 15_000;

/** Shared state of one gateway. */
export interface GatewayContext {
  readonly inference: Inference;
  /** Null: none is offered. */
  readonly control: FleetControl | null;
  /** Null: none is offered. */
  readonly training: TrainingService | null;
  /** Null: none is offered. */
  readonly twinkle: TwinkleOffer | null;
  readonly authMode: GatewayOptions['auth']['mode'];
  readonly authenticate: Authenticate;
  readonly bodyLimit: number;
  readonly version: string;
  readonly startedAt: number;
  readonly phase: () => HeadPhase;
  readonly logger: GatewayLogger | null;
  readonly metrics: GatewayMetrics;
  readonly stopTrainingMetrics: () => void;
  /** Scrapes that went on without a replica's engine. */
  readonly missedPages: Family<Cell>;
  readonly queue: FlushQueue;
  readonly live: LiveResponses;
}

/** Options → context. */
export function gatewayContext(options: GatewayOptions): GatewayContext {
  const { inference, metrics, startedAt, training } = options;
  return {
    inference,
    control: options.control ?? null,
    training: training ?? null,
    twinkle: options.twinkle ?? null,
    authMode: options.auth.mode,
    authenticate: authenticator(options.auth),
    bodyLimit: options.http.bodyLimit,
    version: options.version,
    startedAt,
    phase: () => options.phase(),
    logger: options.logger === false ? null : options.logger,
    metrics: gatewayMetrics(metrics, inference, startedAt),
    stopTrainingMetrics: training === undefined ? () => {} : trainingMetrics(metrics, training.watch),
    missedPages: metrics.counter(
      'twinkle_engine_metrics_missed_total',
      'Scrapes in which the engine of a replica did not answer in time.',
      ['model', 'replica'],
    ),
    queue: new FlushQueue(),
    live: new LiveResponses(options.keepAliveMs ?? KEEP_ALIVE_MS),
  };
}
