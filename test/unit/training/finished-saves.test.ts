/** Saves that a kill cut between writing and answering, as the next server answers them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { NamedKind } from '../../../src/training/checkpoint-path.js';
import { LocalTrainingService } from '../../../src/training/service.js';
import { FakeInference } from '../gateway/fake-inference.js';
import { FakeSampling } from './fake-sampling.js';
import { FakeHost, flush, newRun } from './fake-trainer.js';

let root: string;
let host: FakeHost;
let service: LocalTrainingService;
let run: string;

function open(): LocalTrainingService {
  host = new FakeHost();
  host.trainer.files = [];
  return new LocalTrainingService({
    inference: new FakeInference(),
    trainers: host,
    sampling: new FakeSampling(),
    checkpointFolder: join(root, 'checkpoints'),
    journalFolder: join(root, 'journal'),
    nowMs: () => 0,
  });
}

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'twinkle-finished-'));
  service = open();
  const session = service.createSession('t', { idempotencyKey: null, userMetadata: null, displayName: null }).id;
  ({ run } = service.createRun('t', newRun(session)));
  await flush();
});
afterEach(async () => {
  await service.close();
  rmSync(root, { recursive: true, force: true });
});

function save(seqId: number, name: string, kind: NamedKind = 'weights', overwrite = false): string {
  return service.save('t', { run, seqId, kind, name, overwrite, ttlSeconds: null, userMetadata: null });
}

function answer(id: string, of = service): unknown {
  const got = of.request('t', id)?.answer ?? null;
  return got !== null && 'bytes' in got ? `${got.kind} ${Buffer.from(got.bytes)}` : got;
}

/** Kill the server when the ranks have been asked; `finish`: what it still does is on disk, though not on the journal. */
async function cut(finish: () => void): Promise<LocalTrainingService> {
  await flush();
  await service.written();
  const before = service;
  await before.close();
  finish();
  await flush();
  service = open();
  await service.restore();
  return before;
}

function answerSaves(): void {
  const { trainer } = host;
  trainer.automatic = true;
  trainer.sent.forEach(({ method }, at) => {
    if (method === 'train_save') trainer.answer(at);
  });
}

const lost = { error: expect.stringContaining('lost its weights'), category: 'server' };

it.each(['weights', 'sampler_weights', 'external_weights'] as const)(
  '%s that were written are answered with the bytes that the answer would have had',
  async (kind) => {
    host.trainer.automatic = false;
    const id = save(1, 'one', kind);
    const before = await cut(answerSaves);
    const said = answer(id, before);
    expect(said).toContain(`{"path":"tinker://${run}/${kind}/one","size_bytes":7,`);
    expect(answer(id)).toBe(said);
    expect(save(1, 'one', kind)).toBe(id);
    await cut(() => {});
    expect(answer(id)).toBe(said);
  },
);

it('what was not written is lost, also where an older one has that name', async () => {
  const first = save(1, 'one');
  await flush();
  host.trainer.automatic = false;
  const again = save(2, 'one', 'weights', true);
  const other = save(3, 'two');
  await cut(() => {});
  expect(answer(first)).toContain('/weights/one');
  expect([again, other].map((id) => answer(id))).toEqual([lost, lost]);
});

it('a copy is no answer, nor what was removed meanwhile', async () => {
  host.trainer.automatic = false;
  const id = save(1, 'one');
  const path = { run, kind: 'weights', name: 'one' } as const;
  await flush();
  await service.written();
  await service.close();
  answerSaves();
  await flush();
  const copy = { from: path, run: `${'a'.repeat(36)}:train:0`, ttlSeconds: null, reader: 't' };
  await service.checkpoints.copy('t', copy);
  await service.checkpoints.remove('t', path);
  service = open();
  await service.restore();
  expect(service.checkpoints.of('t').map((one) => one.request)).toEqual([id]);
  expect(answer(id)).toEqual(lost);
});
