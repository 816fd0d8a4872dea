/** Samples: computed once for each number of a sampler, and announced to who asks for all of them at once. */
import type { Admissions } from './admission.js';
import type { Future, Futures } from './futures.js';
import type { Recorder } from './journal/recorder.js';
import { SampleAgain } from './sample-again.js';
import { SampleRun } from './sample-run.js';
import { type SourceParts, sourceOf } from './sampler-source.js';
import type { Sampler, Samplers } from './samplers.js';
import type { CompletionFeed, FutureFailure, FutureResult, SampleRequest, SampleTicket } from './types.js';

export interface SamplingParts extends SourceParts {
  readonly samplers: Samplers;
  readonly futures: Futures;
  readonly recorder: Recorder;
  readonly admissions: Pick<Admissions, 'sampling'>;
}

export class Sampling implements Disposable {
  /** What a server before this one left undone. */
  readonly again: SampleAgain;

  constructor(private readonly parts: SamplingParts) {
    this.again = new SampleAgain({
      start: (future, request) => {
        const sampler = parts.samplers.get(future.owner.tenant, request.sampler);
        return this.#start(sampler, request, () => future);
      },
      failed: (future, request, why) => this.#answered(future, request, why),
    });
  }

  [Symbol.dispose](): void {
    this.again[Symbol.dispose]();
  }

  /** See `TrainingService.sample`. */
  ask(tenant: string, request: SampleRequest): SampleTicket {
    const { futures, recorder, samplers } = this.parts;
    const sampler = samplers.get(tenant, request.sampler);
    const { seqId } = request;
    const known = sampler.requests.get(seqId);
    if (known !== undefined) return ticketOf(known, request);
    recorder.checkWritable();
    const model = this.parts.served(sampler.baseModel);
    this.parts.admissions.sampling(model)?.admit(tenant, request.prompt.length);
    const run = this.#start(sampler, request, () => future);
    const owner = { tenant, session: sampler.session.id };
    const work = {
      withdraw: () => run.abort(),
      forgotten: () => sampler.requests.delete(seqId),
      paused: () => this.parts.host.paused?.(model) ?? null,
    };
    const future: Future = futures.open(owner, { sampler: sampler.id, seqId, request }, work);
    sampler.requests.set(seqId, future);
    return ticketOf(future, request);
  }

  /** See `TrainingService.completions`. */
  completions(
    tenant: string,
    sampler: string,
    clone: number,
    after: number,
    retrieved: readonly string[],
  ): CompletionFeed {
    const { futures, samplers } = this.parts;
    const feed = samplers.get(tenant, sampler).feed(clone);
    for (const id of retrieved) {
      const future = futures.find(id, tenant);
      if (future !== null && future.answer !== null) futures.drop(future);
    }
    return {
      completions: feed.after(after),
      cursor: feed.cursor,
      wait: (ms, listener) => feed.wait(ms, listener),
    };
  }

  /** @param future whose answer it computes; there is none before this returns */
  #start(sampler: Sampler, request: SampleRequest, future: () => Future): SampleRun {
    const caller = { tenant: sampler.session.tenant };
    const run = new SampleRun(sourceOf(sampler, this.parts), request, caller, (answer) =>
      this.#answered(future(), request, answer),
    );
    run.start();
    return run;
  }

  #answered(future: Future, { sampler, seqId }: SampleRequest, answer: FutureResult | FutureFailure): void {
    future.settle(answer);
    this.parts.samplers.find(future.owner.tenant, sampler)?.answered(seqId, future);
  }
}

function ticketOf({ id }: Future, { count, sampler, seqId }: SampleRequest): SampleTicket {
  return {
    requestId: id,
    sequenceIds: Array.from({ length: count }, (_, at) => `${sampler}:${seqId}:${at}`),
  };
}
