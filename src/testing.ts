/**
 * For the tests of what you build on twinkle-node: fake devices and the mock engine, with no GPU, no torch and no model.
 *
 * ```ts
 * import { createMockServer } from 'twinkle-node/testing';
 *
 * const server = await createMockServer({ fakeDevices: 'gpu:8', gpus: '0-3', tensorParallelSize: 4 });
 * ```
 */
import { type CreateServerOptions, createServer, type Server } from './runtime/embed.js';

export { createFakeNative, type FakeMessage, type FakeNative, type FakeNativeOptions } from './native/fake.js';
export { fakeDeviceReport } from './native/fake-devices.js';
export type { DeviceInfo, DeviceReport, Native } from './native/types.js';

/** Options of {@link createMockServer}. */
export interface MockServerOptions extends Omit<CreateServerOptions, 'engine' | 'engineArgs'> {
  /** As `TWINKLE_FAKE_DEVICES`: `gpu:8`, `npu:4`. */
  readonly fakeDevices?: string;
  /** Time of an engine step in ms; default 0. */
  readonly stepMs?: number;
  /** Time of a load in ms; default 0. */
  readonly loadMs?: number;
  /** Choices that advance in one step; default 256. */
  readonly maxNumSeqs?: number;
  /**
   * A scripted fault, `KIND@PLACE`: kinds `exit:N`, `kill`, `hang`, `error`; places `load`, `token:N`. `kill@token:20` kills the rank with
   * SIGKILL at the 20th token that its process makes.
   */
  readonly fault?: string;
}

/**
 * A server whose model is the mock engine: real rank processes, real HTTP, deterministic words. Listens on any free port unless told
 * otherwise.
 */
export async function createMockServer(options: MockServerOptions = {}): Promise<Server> {
  const { fakeDevices, stepMs, loadMs, maxNumSeqs, fault, env = process.env, ...rest } = options;
  const args = { step_ms: stepMs, load_ms: loadMs, max_num_seqs: maxNumSeqs, fault };
  return await createServer({
    model: 'mock',
    port: 0,
    ...rest,
    engine: 'mock',
    engineArgs: Object.fromEntries(Object.entries(args).filter(([, value]) => value !== undefined)),
    env: fakeDevices === undefined ? env : { ...env, TWINKLE_FAKE_DEVICES: fakeDevices },
  });
}
