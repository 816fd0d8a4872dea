/** The training service in a process of its own, whose disk is full and who is killed. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, it } from 'vitest';
import { type ChildScript, Sources } from '../support/child-node.js';

const sources = new Sources('training/service', 'training/journal/segments');
afterAll(() => sources[Symbol.dispose]());

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-training-journal-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Does as it is told: `pass 3` asks for request 3 of the run, `get ID` for its answer; it says what a client would hear. */
const SERVICE = `
import { createInterface } from 'node:readline';
import { LocalTrainingService } from './training/service.js';
const outcome = { failure: null, shapes: [[500]], outputs: [{ name: 'logprobs', data: Buffer.alloc(2000, 1) }], metrics: {} };
const trainer = {
  gone: false,
  call: async (method, params) => method === 'train_pass' ? { outcomes: params.works.map(() => outcome) } : {},
};
const service = new LocalTrainingService({
  inference: { models: () => [], find: () => ({ names: ['demo'] }) },
  trainers: { trains: () => true, checkRun() {}, folder: () => '', open: async () => trainer },
  sampling: {},
  checkpointFolder: '/nowhere',
  journalFolder: process.argv[1],
  log: { debug() {}, info(_, event) { console.error(event) }, warn() {}, error(_, event) { console.log('log', event) } },
  nowMs: () => performance.now(),
});
await service.restore();
const session = service.createSession('t', { idempotencyKey: 'k', userMetadata: null, displayName: null }).id;
const spec = { session, seqId: 0, baseModel: 'demo', rank: 8, seed: 1, attn: true, mlp: true, unembed: true, userMetadata: null };
const { run } = service.createRun('t', spec);
const work = { loss: 'cross_entropy', config: {}, forward_only: false, tokens: Buffer.alloc(2000), lengths: [500], inputs: [] };
await service.written();
console.log('open');
for await (const line of createInterface({ input: process.stdin })) {
  const [what, about] = line.split(' ');
  try {
    if (what === 'pass') {
      const id = service.compute('t', { run, seqId: Number(about), work });
      await service.written();
      console.log(id);
    } else {
      const future = service.request('t', about);
      await future.wait(5000);
      await service.written();
      console.log(future.answer.error ?? 'answer ' + future.answer.bytes.length);
    }
  } catch (error) {
    console.log('refused ' + error.code + ' ' + error.status);
  }
}
`;

async function start(): Promise<ChildScript> {
  const child = sources.start(SERVICE, folder);
  expect(await child.line()).toBe('open');
  return child;
}

async function say(child: ChildScript, line: string): Promise<string> {
  child.say(line);
  return await child.line();
}

/** The limit on the size of a file fails a write in its middle, as a full disk does. */
const limit = (pid: number, bytes: string): void => {
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:`]);
};

it('a full disk: nothing more is acknowledged, nothing that was is lost, and it goes on when there is room', async () => {
  const child = await start();
  const kept = new Map<string, string>();
  limit(child.pid, '20000');
  let refusal = '';
  let seqId = 0;
  while (refusal === '') {
    const id = await say(child, `pass ${++seqId}`);
    if (!id.startsWith('req-')) {
      refusal = id;
      break;
    }
    const answer = await say(child, `get ${id}`);
    if (answer.startsWith('answer')) kept.set(id, answer);
    else refusal = answer;
  }
  // Once, before what the client hears.
  expect(refusal).toBe('log training_journal_failed');
  expect(await child.line()).toBe('refused JOURNAL_FAILED 503');
  expect(kept.size).toBeGreaterThan(2);
  expect(await say(child, `pass ${seqId + 1}`)).toBe('refused JOURNAL_FAILED 503');
  limit(child.pid, 'unlimited');
  const again = await say(child, `pass ${seqId}`);
  kept.set(again, await say(child, `get ${again}`));
  const next = await say(child, `pass ${seqId + 1}`);
  kept.set(next, await say(child, `get ${next}`));
  expect(kept.get(next)).toMatch(/^answer \d+$/);
  await child.kill();
  const after = await start();
  for (const [id, answer] of kept) expect(await say(after, `get ${id}`)).toBe(answer);
  expect(await say(after, `pass ${seqId}`)).toBe(again);
  await after.kill();
});
