/** What a gateway is built from, and the surfaces it needs of the runtime. Nothing here knows how a head is made. */
import type { AuthConfig, HttpConfig } from '../config/types.js';
import type { Metrics } from '../observability/metrics.js';
import type { FleetControl } from '../serving/types/control.js';
import type { Inference } from '../serving/types.js';
import type { TrainingService } from '../training/types.js';
import type { TwinkleModels, TwinkleSamplers } from '../twinkle/types.js';

/** Phase of the whole head; the same words as `HeadStatus.phase`. */
export type HeadPhase = 'starting' | 'ready' | 'degraded' | 'draining' | 'failed' | 'stopped';

/** The part of pino that a gateway uses. */
export interface GatewayLogger {
  info(fields: object, event: string): void;
  warn(fields: object, event: string): void;
  error(fields: object, event: string): void;
}

/** An application of Twinkle's API, and where it is. */
export interface TwinkleMount {
  /** Of its model. */
  readonly name: string;
  /** Paths below which its routes are; the first is the one that clients build. */
  readonly prefixes: readonly string[];
}

/** What the routes of Twinkle's models and samplers are served by. */
export interface TwinkleOffer {
  readonly models: TwinkleModels;
  readonly samplers: TwinkleSamplers;
  readonly trained: readonly TwinkleMount[];
  readonly sampled: readonly TwinkleMount[];
}

/** Options of `buildGateway` and of `gatewayPlugin`. */
export interface GatewayOptions {
  readonly inference: Inference;
  /** Adapters, operations and engines' metrics; absent: the gateway has no such routes. */
  readonly control?: FleetControl;
  /** What the Tinker SDK is served by; absent: the gateway has no such routes. */
  readonly training?: TrainingService;
  /** Models and samplers of Twinkle's API; absent: the gateway has none. */
  readonly twinkle?: TwinkleOffer;
  readonly auth: AuthConfig;
  readonly http: Pick<HttpConfig, 'bodyLimit'>;
  /** Version of the package, for `/version`. */
  readonly version: string;
  /** Unix milliseconds of the start of the head. */
  readonly startedAt: number;
  /** Asked at every health request: must be cheap. */
  phase(): HeadPhase;
  readonly logger: GatewayLogger | false;
  /** The gateway registers its metrics here; each gateway needs its own. */
  readonly metrics: Metrics;
  /** A stream that is silent for so long gets a comment line. Default 15,000 ms. */
  readonly keepAliveMs?: number;
}
