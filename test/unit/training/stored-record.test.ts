import { describe, expect, it } from 'vitest';
import { folderKey, readKey, readStored, recordKey, writeStored } from '../../../src/training/stored-record.js';
import type { Checkpoint } from '../../../src/training/types/checkpoints.js';

const RUN = '41e19319-58e8-4f2a-9aa3-daf341272b75:train:0';
const ABOVE = `t/${RUN}/weights`;
const CHECKPOINT: Checkpoint = {
  path: { run: RUN, kind: 'weights', name: 'one' },
  tenant: 't',
  folder: `/home/c/${ABOVE}/one@0123456789ab`,
  stored: [{ name: 'manifest.json', bytes: 3 }],
  run: { baseModel: 'demo', rank: 4, seed: null, attn: true, mlp: true, unembed: true },
  runMetadata: null,
  time: 5,
  bytes: 10,
  expires: null,
  public: false,
  userMetadata: { a: 1 },
  copyOf: `/home/c/${ABOVE}/zero@ba9876543210`,
};

it('is the same checkpoint under another home, and names none', () => {
  const json = writeStored(CHECKPOINT, '/home/c');
  expect(json).not.toContain('/home/c');
  expect(readStored(recordKey(CHECKPOINT), json, '/other')).toEqual({
    ...CHECKPOINT,
    folder: `/other/${ABOVE}/one@0123456789ab`,
    copyOf: `/other/${ABOVE}/zero@ba9876543210`,
  });
});

it('names of objects are those of a record, of a file of one, or nobody’s', () => {
  expect(recordKey(CHECKPOINT)).toBe(`${ABOVE}/one.json`);
  expect(readKey(`${ABOVE}/one.json`)).toEqual({ record: `${ABOVE}/one.json`, folder: null });
  const folder = folderKey(CHECKPOINT);
  expect(readKey(`${folder}/manifest.json`)).toEqual({ record: `${ABOVE}/one.json`, folder });
  for (const key of [
    'README.md',
    '.check-0123456789ab',
    `${ABOVE}/one@0123456789ab`,
    `${ABOVE}/one@0123/manifest.json`,
    `${folder}/../x`,
    `${folder}/a/b`,
    `../${RUN}/weights/one@0123456789ab/x`,
    `t/${RUN}/handed_over/one.json`,
    `t/elsewhere/weights/one.json`,
  ])
    expect(readKey(key)).toBeNull();
});

describe('a record is not believed', () => {
  const read = (changes: object, key = recordKey(CHECKPOINT)) =>
    readStored(key, JSON.stringify({ ...JSON.parse(writeStored(CHECKPOINT, '/home/c')), ...changes }), '/h');

  it.each([
    ['a folder elsewhere', { folder: '../../one@0123456789ab' }],
    ['a folder of another one', { folder: 'two@0123456789ab' }],
    ['a file elsewhere', { stored: [{ name: '../../../etc/passwd', bytes: 1 }] }],
    ['no files', { stored: [] }],
    ['files without sizes', { stored: [{ name: 'a' }] }],
    ['another tenant', { tenant: 'o' }],
    ['a tenant elsewhere', { tenant: '..' }],
    ['another run', { path: { ...CHECKPOINT.path, run: RUN.replace(/0$/, '1') } }],
    ['a kind that has no name', { path: { ...CHECKPOINT.path, kind: 'parked' } }],
    ['no run', { run: undefined }],
    ['no size', { bytes: '10' }],
    ['a flag that is none', { public: 'yes' }],
  ])('with %s', (_, changes) => {
    expect(read(changes)).toBeNull();
  });

  it('under another name, or when it is no JSON', () => {
    expect(read({})).not.toBeNull();
    expect(read({}, `${ABOVE}/two.json`)).toBeNull();
    expect(readStored(recordKey(CHECKPOINT), '{"path":', '/h')).toBeNull();
    expect(readStored(recordKey(CHECKPOINT), 'null', '/h')).toBeNull();
    expect(read({ copyOf: '../../../etc' })).toEqual(expect.not.objectContaining({ copyOf: expect.anything() }));
  });
});
