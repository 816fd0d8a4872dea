/** Engines that sample from what was trained, played by the test: what they were told, in order. */
import type { Generation, TokenSink } from '../../../src/serving/types.js';
import type { SamplerWeights, SamplingHost } from '../../../src/training/sampling-host.js';
import type { SampleRequest } from '../../../src/training/types.js';

export class FakeSampling implements SamplingHost {
  readonly told: [what: string, name: string, folder: string | null][] = [];
  takes: boolean | null = true;
  failure: Error | null = null;
  waits: string | null = null;
  readonly sinks: TokenSink[] = [];

  adapts(): boolean | null {
    return this.takes;
  }

  paused(): string | null {
    return this.waits;
  }

  generateWith(_model: string, { folder, name }: SamplerWeights, _params: unknown, sink: TokenSink): Generation {
    this.told.push(['generate', name, folder]);
    this.sinks.push(sink);
    return { abort: () => {}, pause: () => {} };
  }

  async prepare(_model: string, { folder, name }: SamplerWeights): Promise<void> {
    this.told.push(['prepare', name, folder]);
    if (this.failure !== null) throw this.failure;
  }

  async replace(_model: string, { folder, name }: SamplerWeights): Promise<void> {
    this.told.push(['replace', name, folder]);
  }

  async forget(_model: string, name: string): Promise<void> {
    this.told.push(['forget', name, null]);
  }
}

/** What a client asks for. */
export const sampleRequest = (sampler: string, changes: Partial<SampleRequest> = {}): SampleRequest => ({
  sampler,
  seqId: 0n,
  prompt: [1, 2, 3],
  count: 1,
  maxTokens: 4,
  seed: null,
  stop: null,
  temperature: 1,
  topK: 0,
  topP: 1,
  promptLogprobs: false,
  promptLogprobsLast: null,
  topkPrompt: 0,
  topkSample: 0,
  ...changes,
});
