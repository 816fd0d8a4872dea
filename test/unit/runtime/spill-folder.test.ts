import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeSpillFolder, removeSpillFolder, spillRoot } from '../../../src/runtime/spill-folder.js';
import { sweepHome } from '../../../src/runtime/sweep-home.js';

let home: string;
let disk: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'twinkle-spill-home-'));
  disk = mkdtempSync(join(tmpdir(), 'twinkle-spill-disk-'));
});
afterEach(() => {
  for (const folder of [home, disk]) rmSync(folder, { recursive: true, force: true });
});

/** The same folder as of a head that was killed: no process has that number and that start. */
function abandon(): void {
  const [name = ''] = readdirSync(spillRoot(home));
  const dead = name.replace(/^\d+-\d*-/, '1-1-');
  const from = join(spillRoot(home), name);
  if (lstatSync(from).isSymbolicLink()) {
    symlinkSync(join(disk, 'deep', `twinkle-spill-${name.split('-')[2]}`), join(spillRoot(home), dead));
    rmSync(from);
  } else {
    mkdirSync(join(spillRoot(home), dead));
    rmSync(from, { recursive: true });
  }
}

it.each(['home', 'elsewhere'])(
  'a folder is for this user only, stays while its head lives, and goes after it (%s)',
  async (where) => {
    const path = makeSpillFolder(home, 'abc123', where === 'home' ? null : join(disk, 'deep'));
    expect(statSync(path).mode & 0o777).toBe(0o700);
    writeFileSync(join(path, '0.object'), 'x');
    await sweepHome(home);
    expect(existsSync(join(path, '0.object'))).toBe(true);
    abandon();
    await sweepHome(home);
    expect([existsSync(path), readdirSync(spillRoot(home))]).toEqual([false, []]);
  },
);

it('is removed with its link', () => {
  const path = makeSpillFolder(home, 'abc123', disk);
  const [name = ''] = readdirSync(spillRoot(home));
  removeSpillFolder(join(spillRoot(home), name));
  expect([existsSync(path), readdirSync(spillRoot(home)), readdirSync(disk)]).toEqual([false, [], []]);
});

it('a link to what is not ours goes without what it leads to', () => {
  mkdirSync(spillRoot(home));
  symlinkSync(disk, join(spillRoot(home), '1-1-abc'));
  writeFileSync(join(disk, 'theirs'), 'x');
  removeSpillFolder(join(spillRoot(home), '1-1-abc'));
  expect([readdirSync(spillRoot(home)), readdirSync(disk)]).toEqual([[], ['theirs']]);
});

it('a place where none can be made is said, and leaves no link', () => {
  expect(() => makeSpillFolder(home, 'abc123', '/proc/nowhere')).toThrow(
    expect.objectContaining({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/in \/proc\/nowhere: .*--object-spill-dir/),
    }),
  );
  expect(readdirSync(spillRoot(home))).toEqual([]);
});
