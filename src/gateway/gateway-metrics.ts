/** The `twinkle_*` metrics of a gateway: what is counted as it happens, and what is asked of `Inference` at each scrape. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Cell, HistogramCell, Metrics } from '../observability/metrics.js';
import type { DeviceTurn, Inference, ModelState, ReplicaStatus } from '../serving/types.js';

const REQUEST_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const FIRST_TOKEN_SECONDS = [0.001, 0.005, 0.01, 0.02, 0.04, 0.08, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const TOKEN_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 2.5];
const STATES: readonly ModelState[] = ['starting', 'ready', 'restarting', 'failed', 'draining', 'stopped'];
const HOLDERS: readonly DeviceTurn['holder'][] = ['sampling', 'training', 'changing'];
const LAG_RESOLUTION_MS = 100;

/** Accounts of one route. */
export interface RouteMeter {
  begin(): void;
  /** @param status HTTP status; 499 when the client left first. */
  end(status: number, milliseconds: number): void;
}

/** Accounts of one model, fetched once per request. */
export interface ModelMeter {
  readonly firstToken: HistogramCell;
  readonly betweenTokens: HistogramCell;
  readonly relayFirstByte: HistogramCell;
  readonly promptTokens: Cell;
  readonly generatedTokens: Cell;
}

/** The metric set of one gateway. */
export interface GatewayMetrics {
  route(url: string, method: string): RouteMeter;
  /** @param model first name of the model. */
  model(model: string): ModelMeter;
  /** Requests that are being answered. */
  inFlight(): number;
  render(): Promise<string>;
  readonly contentType: string;
  /** Stops the event loop's probe. */
  close(): void;
}

function registerReplicas(metrics: Metrics, inference: Inference): void {
  const each = (visit: (labels: { model: string; replica: string }, replica: ReplicaStatus) => void): void => {
    for (const { names, replicas } of inference.models()) {
      for (const replica of replicas) visit({ model: names[0] ?? '', replica: replica.id }, replica);
    }
  };
  const labels = ['model', 'replica'] as const;
  metrics.gauge('twinkle_gang_state', 'Whether a gang is in this state.', [...labels, 'state'], (report) =>
    each((of, { state }) => {
      for (const candidate of STATES) report({ ...of, state: candidate }, Number(candidate === state));
    }),
  );
  metrics.counterOf('twinkle_gang_restarts_total', 'Restarts of a gang since the head started.', labels, (report) =>
    each((of, { restarts }) => report(of, restarts)),
  );
  metrics.gauge('twinkle_replica_in_flight', 'Requests that a replica is working on.', labels, (report) =>
    each((of, { inFlight }) => report(of, inFlight)),
  );
  metrics.gauge(
    'twinkle_device_turn',
    'Whether it is the turn of sampling or of training on the devices that a model shares between them.',
    ['model', 'holder'],
    (report) => {
      for (const { names, turn } of inference.models()) {
        if (turn === undefined) continue;
        for (const holder of HOLDERS) report({ model: names[0] ?? '', holder }, Number(holder === turn.holder));
      }
    },
  );
  const engine = (name: string, help: string, read: (stats: NonNullable<ReplicaStatus['stats']>) => number): void =>
    metrics.gauge(name, help, labels, (report) => each((of, { stats }) => stats !== null && report(of, read(stats))));
  engine('twinkle_engine_running', 'Choices that advance in each engine step.', ({ running }) => running);
  engine('twinkle_engine_waiting', 'Requests that wait inside the engine.', ({ waiting }) => waiting);
  engine('twinkle_engine_kv_usage_ratio', 'Part of the KV cache in use.', (stats) => stats.kv_usage);
  engine('twinkle_engine_steps', 'Engine steps in this epoch.', ({ steps }) => steps);
}

function registerProcess(metrics: Metrics, startedAt: number): () => void {
  const lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  lag.enable();
  metrics.gauge(
    'twinkle_event_loop_lag_seconds',
    'Lateness of timers since the last scrape.',
    ['quantile'],
    (report) => {
      const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - LAG_RESOLUTION_MS / 1e3);
      if (lag.count > 0) {
        report({ quantile: '0.5' }, late(lag.percentile(50)));
        report({ quantile: '0.99' }, late(lag.percentile(99)));
        report({ quantile: '1' }, late(lag.max));
      }
      lag.reset();
    },
  );
  metrics.gauge('process_start_time_seconds', 'Unix time of the start of the head.', [], (report) =>
    report({}, startedAt / 1e3),
  );
  metrics.gauge('process_resident_memory_bytes', 'Resident memory of the Node process.', [], (report) =>
    report({}, process.memoryUsage.rss()),
  );
  metrics.counterOf('process_cpu_seconds_total', 'CPU time of the Node process.', [], (report) => {
    const { user, system } = process.cpuUsage();
    report({}, (user + system) / 1e6);
  });
  return () => lag.disable();
}

/** Register everything in `metrics`. */
export function gatewayMetrics(metrics: Metrics, inference: Inference, startedAt: number): GatewayMetrics {
  const requests = metrics.counter('twinkle_http_requests_total', 'Answered HTTP requests.', [
    'route',
    'method',
    'status',
  ]);
  const seconds = metrics.histogram('twinkle_http_request_seconds', 'From arrival to the last byte.', REQUEST_SECONDS);
  const firstToken = metrics.histogram('twinkle_ttft_seconds', 'From arrival to the first token.', FIRST_TOKEN_SECONDS);
  const between = metrics.histogram(
    'twinkle_inter_token_latency_seconds',
    'Between two writes of a stream.',
    TOKEN_SECONDS,
  );
  // A relayed answer may begin before its first token (`response.created`) or after its last (an answer in one piece).
  const relayFirstByte = metrics.histogram(
    'twinkle_relay_first_byte_seconds',
    'From arrival to the first byte of an answer that the engine formats.',
    REQUEST_SECONDS,
  );
  const prompt = metrics.counter('twinkle_prompt_tokens_total', 'Prompt tokens of finished requests.', ['model']);
  const generated = metrics.counter('twinkle_generation_tokens_total', 'Tokens handed to clients.', ['model']);
  let open = 0;
  metrics.gauge('twinkle_http_in_flight', 'Requests that are being answered.', [], (report) => report({}, open));
  registerReplicas(metrics, inference);
  const close = registerProcess(metrics, startedAt);
  const models = new Map<string, ModelMeter>();
  return {
    route(route, method) {
      const byStatus = new Map<number, Cell>();
      const duration = seconds.with({ route });
      return {
        begin() {
          open += 1;
        },
        end(status, milliseconds) {
          open -= 1;
          let cell = byStatus.get(status);
          if (cell === undefined) {
            cell = requests.with({ route, method, status: String(status) });
            byStatus.set(status, cell);
          }
          cell.value += 1;
          duration.observe(milliseconds / 1e3);
        },
      };
    },
    model(model) {
      let meter = models.get(model);
      if (meter === undefined) {
        meter = {
          firstToken: firstToken.with({ model }),
          betweenTokens: between.with({ model }),
          relayFirstByte: relayFirstByte.with({ model }),
          promptTokens: prompt.with({ model }),
          generatedTokens: generated.with({ model }),
        };
        models.set(model, meter);
      }
      return meter;
    },
    inFlight: () => open,
    render: () => metrics.render(),
    contentType: metrics.contentType,
    close,
  };
}
