/** What every part of the placement step works on: the report, the box, and its devices as they were before anybody came. */
import { Box } from '../lib/box.mjs';
import { gpu } from '../lib/device-watch.mjs';
import { Report } from '../lib/report.mjs';
import { cli } from '../lib/server.mjs';

/** An interpreter may need long to import torch from a cold disk. */
export const READY_MS = 120_000;
/** `--head-grace` of the head, seconds: servers are older than that when it is killed, and it is away for less. */
export const GRACE_S = 20;
/** Noise of the driver's own bookkeeping, bytes. */
const SLACK = 16 * 2 ** 20;
/** One GPU a rank, where the engine would take none. */
export const ONE_GPU_EACH = ['--placement-group-config', '{"bundle_per_worker":{"GPU":1}}'];
export const MOCK = ['mock', '--engine', 'mock'];

export class Scene {
  report = new Report('gpu-placement');
  box = new Box();
  survey = JSON.parse(cli(['list', 'devices', '--json'], this.box));
  uuids = this.survey.devices.map(({ uuid }) => uuid);
  /** The type that the head says of the devices; null until then, or when it says none. */
  type = null;
  /** Servers that have not ended yet, the oldest first. */
  serving = [];
  #idle = this.uuids.map((_, index) => gpu(index).memoryUsedBytes);

  /** No memory of a device is in use beyond what was before. */
  isIdle(index) {
    return gpu(index).memoryUsedBytes <= this.#idle[index] + SLACK;
  }

  /** A server of the demo model on one GPU, as a user of Ray asks for it. */
  demo(name) {
    const wanted = this.type === null ? ONE_GPU_EACH : ['--accelerator-type', this.type];
    const server = this.box.serve(name, ...wanted, '-tp', '1');
    this.serving.push(server);
    return server;
  }

  /** Pid of the one rank of a server, and the position of its device in `uuids`. */
  rank(server) {
    const { pid, devices } = this.box.gang(server).ranks[0];
    return { pid, index: this.uuids.indexOf(devices[0]) };
  }
}

/** A greedy answer of a server of the demo model. */
export async function ask(server, tokens = 8) {
  const body = { model: server.name, prompt: 'Once upon a time', max_tokens: tokens, temperature: 0 };
  return (await server.ask('/v1/completions', body)).choices[0].text;
}

export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
