import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CheckpointFiles } from '../../../src/training/checkpoint-files.js';
import { type CheckpointPath, checkName, readPath } from '../../../src/training/checkpoint-path.js';
import { Checkpoints } from '../../../src/training/checkpoints.js';
import { NamedCheckpoints } from '../../../src/training/named-checkpoints.js';
import type { Checkpoint } from '../../../src/training/types/checkpoints.js';

const RUN = '41e19319-58e8-4f2a-9aa3-daf341272b75:train:0';
let root: string;
let now: number;
let checkpoints: Checkpoints;
let named: NamedCheckpoints;
const open = () => new Checkpoints(new CheckpointFiles(root), () => now);
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'twinkle-checkpoints-'));
  now = 1_000_000;
  checkpoints = open();
  named = new NamedCheckpoints({ all: checkpoints, files: new CheckpointFiles(root), store: null });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const path = (name: string): CheckpointPath => ({ run: RUN, kind: 'weights', name });
/** As the ranks write it. */
function write(name: string, tenant = 't'): string {
  const folder = checkpoints.newFolder(tenant, path(name));
  mkdirSync(folder);
  writeFileSync(join(folder, 'manifest.json'), name);
  return folder;
}
function save(name: string, changes: Partial<Checkpoint> = {}): Checkpoint {
  const tenant = changes.tenant ?? 't';
  const checkpoint: Checkpoint = {
    path: path(name),
    tenant,
    folder: write(name, tenant),
    run: { baseModel: 'demo', rank: 4, seed: 1, attn: true, mlp: true, unembed: true },
    runMetadata: null,
    time: now,
    bytes: 10,
    expires: null,
    public: false,
    userMetadata: { a: 1 },
    ...changes,
  };
  checkpoints.add(checkpoint);
  return checkpoint;
}
const kept = (tenant = 't') => readdirSync(join(root, tenant, RUN, 'weights')).sort();

describe('a checkpoint', () => {
  it('is there after a restart, as it was', () => {
    const saved = save('a');
    expect(open().readable('t', path('a'))).toEqual(saved);
    expect(open().of('t')).toEqual([saved]);
  });

  it('that was not finished never was, and its files go', () => {
    save('a');
    write('torn');
    writeFileSync(join(root, 't', RUN, 'weights', 'half.json'), '{"path":');
    const lost = save('lost');
    rmSync(lost.folder, { recursive: true });
    const again = open();
    expect(again.of('t').map((one) => one.path.name)).toEqual(['a']);
    expect(kept()).toEqual(['a.json', expect.stringMatching(/^a@/)]);
    again.checkFree(path('torn'));
  });

  it('that is being written is not torn', () => {
    const folder = write('a');
    expect(checkpoints.of('t')).toEqual([]); // the first look at the disk
    expect(existsSync(folder)).toBe(true);
  });

  it('is replaced in one step: until the new one is whole the old one is there', () => {
    const old = save('a');
    const folder = write('a');
    expect(open().readable('t', path('a')).folder).toBe(old.folder);
    expect(existsSync(folder)).toBe(false); // that restart took it for torn
    const next = save('a', { bytes: 11 });
    expect(open().readable('t', path('a'))).toEqual(next);
    expect(kept()).toHaveLength(2);
  });

  it('keeps its name', () => {
    save('a');
    expect(() => checkpoints.checkFree(path('a'))).toThrow('take another name');
    checkpoints.checkFree(path('ab'));
    save('ab');
    save('a');
    expect(kept()).toHaveLength(4);
  });

  it('is its tenant’s alone, unless it is published', async () => {
    save('a');
    expect(() => checkpoints.readable('o', path('a'))).toThrow('no checkpoint');
    await expect(named.remove('o', path('a'))).rejects.toThrow('no checkpoint');
    await expect(named.publish('o', path('a'), true)).rejects.toThrow('no checkpoint');
    await named.publish('t', path('a'), true);
    expect(open().readable('o', path('a')).public).toBe(true);
    await expect(named.remove('o', path('a'))).rejects.toThrow('no checkpoint');
    await expect(named.keepFor('o', path('a'), 1)).rejects.toThrow('no checkpoint');
    expect(checkpoints.of('o')).toEqual([]);
    await named.publish('t', path('a'), false);
    expect(() => open().readable('o', path('a'))).toThrow('no checkpoint');
  });

  it('goes when it is removed, or when its time is up', async () => {
    save('a');
    save('b', { expires: checkpoints.until(60) });
    save('c', { expires: checkpoints.until(60) });
    await named.keepFor('t', path('c'), null);
    await named.remove('t', path('a'));
    await expect(named.remove('t', path('a'))).rejects.toThrow('no checkpoint');
    now += 59_999;
    named.sweep();
    expect(checkpoints.readable('t', path('b')).path.name).toBe('b');
    now += 1;
    expect(() => checkpoints.readable('t', path('b'))).toThrow('no checkpoint');
    named.sweep();
    expect(kept()).toEqual(['c.json', expect.stringMatching(/^c@/)]);
    expect(
      open()
        .of('t')
        .map((one) => one.path.name),
    ).toEqual(['c']);
  });
});

describe('a copy', () => {
  const RUN_OF_COPY = RUN.replace(/0$/, '1');
  const copy = (tenant = 't', reader = 't') =>
    named.copy(tenant, { from: path('a'), run: RUN_OF_COPY, ttlSeconds: 60, reader });

  it('outlives what it is of, and shares its storage', async () => {
    const saved = save('a');
    const made = await copy();
    expect(made).toMatchObject({
      path: { run: RUN_OF_COPY, name: 'a' },
      expires: now + 60_000,
      bytes: 10,
      public: false,
    });
    const inode = (folder: string) => statSync(join(folder, 'manifest.json')).ino;
    expect(inode(made.folder)).toBe(inode(saved.folder));
    await named.remove('t', path('a'));
    expect(open().readable('t', made.path)).toEqual(made);
  });

  it('is made once, however often it is asked for, and over nothing else', async () => {
    save('a');
    expect(await copy()).toEqual(await copy());
    await named.remove('t', path('a'));
    save('a');
    await expect(copy()).rejects.toThrow('take another name');
  });

  it('is of what its reader may read, and is the asker’s own', async () => {
    save('a');
    await expect(copy('o', 'o')).rejects.toThrow('no checkpoint');
    expect((await copy('o', 't')).tenant).toBe('o');
    expect(() => checkpoints.readable('t', { ...path('a'), run: RUN_OF_COPY })).toThrow('no checkpoint');
  });
});

it('lists files but for its own notes', () => {
  const { folder } = save('a');
  writeFileSync(join(folder, 'adapter_model.safetensors'), 'weights');
  const file = { name: 'adapter_model.safetensors', path: join(folder, 'adapter_model.safetensors'), bytes: 7 };
  expect(named.list('t', path('a'))).toEqual([file]);
});

it.each(['..', '.', '.a', 'a/b', 'a b', '', 'a'.repeat(129), 'a@b', 'a\0', 'ä'])('refuses the name %j', (name) => {
  expect(() => checkName(name)).toThrow('letters, digits');
});

it('reads paths of its own kind alone', () => {
  expect(readPath(`tinker://${RUN}/weights/a.b-c_1`)).toEqual(path('a.b-c_1'));
  expect(readPath(`tinker://${RUN}/sampler_weights/a`).kind).toBe('sampler_weights');
  expect(() => readPath(`tinker://${RUN}/handed_over/a`)).toThrow('no checkpoint');
  for (const wrong of [
    `tinker://${RUN}/weights/`,
    `tinker://${RUN}/weights/..`,
    `tinker://${RUN}/weights/a/b`,
    `tinker://../weights/a`,
    `tinker://x:train:0/weights/a`,
    `/etc/passwd`,
    '',
  ])
    expect(() => readPath(wrong)).toThrow('expected tinker://');
});
