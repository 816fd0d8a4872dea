/** A gateway over a fake `Inference`, closed after each test; and what tests read from its answers. */
import type { FastifyInstance } from 'fastify';
import { afterEach } from 'vitest';
import type { AuthConfig } from '../../../src/config/types.js';
import { buildGateway } from '../../../src/gateway/server.js';
import type { GatewayOptions } from '../../../src/gateway/types.js';
import { Metrics } from '../../../src/observability/metrics.js';
import { FakeInference } from './fake-inference.js';

export const NO_AUTH: AuthConfig = { mode: 'off', keyHashes: [], generatedKey: null };

export interface Harness {
  readonly app: FastifyInstance;
  readonly inference: FakeInference;
}

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Close it after the test. */
export function closeLater(close: () => Promise<void>): void {
  closers.push(close);
}

export function gatewayOptions(overrides: Partial<GatewayOptions> = {}): GatewayOptions {
  return {
    inference: new FakeInference(),
    auth: NO_AUTH,
    http: { bodyLimit: 100_000 },
    version: '1.2.3',
    startedAt: Date.now() - 1_500,
    phase: () => 'ready',
    logger: false,
    metrics: new Metrics(),
    ...overrides,
  };
}

export async function gateway(overrides: Partial<GatewayOptions> = {}): Promise<Harness> {
  const inference = new FakeInference();
  const app = await buildGateway(gatewayOptions({ inference, ...overrides }));
  closeLater(() => app.close());
  return { app, inference: (overrides.inference as FakeInference | undefined) ?? inference };
}

/** A gateway that listens on loopback. */
export async function listening(
  overrides: Partial<GatewayOptions> = {},
): Promise<Harness & { url: string; port: number }> {
  const harness = await gateway(overrides);
  const url = await harness.app.listen({ host: '127.0.0.1', port: 0 });
  return { ...harness, url, port: Number(new URL(url).port) };
}

/** The payloads of an SSE text; `[DONE]` stays a string. */
export function eventsOf(text: string): unknown[] {
  return text
    .split('\n\n')
    .filter((block) => block.startsWith('data: '))
    .map((block) => block.slice(6))
    .map((data) => (data === '[DONE]' ? data : JSON.parse(data)));
}
