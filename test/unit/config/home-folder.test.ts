import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { homeError, makeHomeFolder } from '../../../src/config/home-folder.js';
import { TwinkleError } from '../../../src/errors.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-home-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('makeHomeFolder', () => {
  test('makes everything down to it, for its user alone, and is content with what is there', () => {
    const home = join(folder, 'a', 'b');
    const made = makeHomeFolder(home, 'logs', 'x');
    expect(made).toBe(join(home, 'logs', 'x'));
    for (const path of [home, join(home, 'logs'), made]) expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(makeHomeFolder(home, 'logs', 'x')).toBe(made);
    symlinkSync(home, join(folder, 'link'));
    expect(makeHomeFolder(join(folder, 'link'), 'logs', 'x')).toBe(join(folder, 'link', 'logs', 'x'));
  });

  test.each([
    ['a place without folders of ours', () => '/proc/x/y', /: \/proc\/x: the system makes no folder there; /],
    ['a path through a device', () => '/dev/null/x', /a part of that path is a file; /],
    ['a file', () => file('file'), /a part of that path is a file; /],
    ['a link to nowhere', () => link('lost', join(folder, 'nowhere')), /folder: it is there and no folder; /],
    ['a link to itself', () => link('loop', join(folder, 'loop')), /its links lead in a circle; /],
    ['a name that is too long', () => join(folder, 'n'.repeat(300)), /the path is too long; /],
    ['a path that is too long', () => join(folder, ...new Array<string>(60).fill('n'.repeat(100))), /too long; /],
    ['a path with a NUL', () => `${folder}/a\0b`, /a\\u0000b" as .*: the path has a NUL in it; /],
  ])('%s: says what is wrong and what to do, at once', (_what, home, words) => {
    const path = home();
    const act = (): unknown => makeHomeFolder(path, 'logs');
    expect(act).toThrow(words);
    expect(act).toThrow(/^cannot use .{1,220} as the home folder: .*; give another one with --home or TWINKLE_HOME$/);
    expect(act).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', exitCode: 2 }));
  });

  test.runIf(process.getuid?.() !== 0)('a folder that may not be written', () => {
    mkdirSync(join(folder, 'theirs'), { mode: 0o500 });
    for (const parts of [[], ['logs']]) {
      expect(() => makeHomeFolder(join(folder, 'theirs'), ...parts)).toThrow(/this user may not write there/);
    }
  });
});

describe('homeError', () => {
  const refused = (code: string, path: string): Error => Object.assign(new Error(`${code}: no`), { code, path });

  test('what the system refuses in the home', () => {
    expect(homeError('/h', refused('EACCES', '/h/logs/a.log'))).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('/h/logs/a.log: this user may not write there'),
    });
    expect(homeError('/h', refused('EROFS', '/h'))).toMatchObject({ code: 'CONFIG_INVALID' });
  });

  test('anything else stays as it is', () => {
    for (const error of [
      refused('EACCES', '/home/other'),
      refused('EBADF', '/h/x'),
      new TypeError('x'),
      new TwinkleError('JOURNAL_IN_USE', 'x'),
    ]) {
      expect(homeError('/h', error)).toBe(error);
    }
  });
});

function file(name: string): string {
  const path = join(folder, name);
  writeFileSync(path, '');
  return path;
}

function link(name: string, target: string): string {
  const path = join(folder, name);
  symlinkSync(target, path);
  return path;
}
