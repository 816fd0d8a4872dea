import { expect, it } from 'vitest';
import type { TrainingConfig } from '../../../src/config/types.js';
import { SILENT } from '../../../src/observability/logger.js';
import type { BuiltModel } from '../../../src/runtime/build-model.js';
import { TrainerGangs } from '../../../src/runtime/trainer-gangs.js';
import type { Gang, GangEvents } from '../../../src/supervisor/gang.js';
import { type Deferred, deferred } from '../../../src/util/deferred.js';
import { Emitter } from '../../../src/util/emitter.js';

/** Ranks that are up at once, and end when the test says so. */
class FakeGang {
  readonly spec = { id: 'g', worldSize: 1 };
  readonly events = new Emitter<GangEvents>();
  readonly lead = {};
  state: { at: string } = { at: 'idle' };
  epoch = 0;
  ended: Deferred<void> = deferred();

  start(): void {
    if (!['idle', 'failed', 'stopped'].includes(this.state.at)) return;
    this.epoch += 1;
    this.state = { at: 'ready' };
  }

  async stop(): Promise<void> {
    this.state = { at: 'teardown' };
    await this.ended.promise;
    this.ended = deferred();
    this.state = { at: 'stopped' };
  }
}

let gang: FakeGang;
function gangs(devices: TrainingConfig['devices'] = null): TrainerGangs {
  gang = new FakeGang();
  const trainer = (): Gang => gang as unknown as Gang;
  const model = { config: { servedNames: ['demo'], model: '/demo' }, gangs: [], trainer } as unknown as BuiltModel;
  const limits = { ranks: null, maxRuns: 1, idleMs: 1, maxLifeMs: null, maxCheckpointBytes: null };
  return new TrainerGangs([model], { devices, ...limits }, SILENT);
}

it('ends ranks that nobody needs, and starts them again for the next, once they are gone', async () => {
  const host = gangs();
  host.close('demo'); // none were started
  const first = await host.open('demo');
  host.close('demo');
  expect([gang.state.at, first.gone]).toEqual(['teardown', false]);
  const again = host.open('demo');
  gang.ended.resolve();
  const second = await again;
  expect([gang.state.at, gang.epoch, first.gone, second.gone]).toEqual(['ready', 2, true, false]);
});

it('leaves ranks on devices of their own', async () => {
  const host = gangs([{ kind: 'gpu', index: 0, uuid: 'GPU-0' }]);
  await host.open('demo');
  host.close('demo');
  expect(gang.state.at).toBe('ready');
});
