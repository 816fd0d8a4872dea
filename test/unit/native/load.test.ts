/** Finding the addon: reasons, fixes, and the probe in a child. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, describe, expect, it, vi } from 'vitest';

import { addonCandidates, NATIVE_ABI, packageRoot } from '../../../src/native/candidates.js';
import { nativeMissing, reasonOf } from '../../../src/native/load-failure.js';
import { probeNative } from '../../../src/native/probe.js';
import { addonPath, native } from './support.js';

const folder = mkdtempSync(join(tmpdir(), 'twinkle-load-'));
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
afterAll(() => rmSync(folder, { recursive: true }));

async function freshLoad(path: string): Promise<unknown> {
  vi.resetModules();
  vi.stubEnv('TWINKLE_NATIVE', path);
  try {
    const { loadNative } = await import('../../../src/native/load.js');
    return loadNative();
  } catch (thrown) {
    return thrown;
  } finally {
    vi.unstubAllEnvs();
  }
}

describe('loadNative', () => {
  it('gives the surface that the types declare', () => {
    expect(native.abi).toBe(NATIVE_ABI);
    expect(Object.values(native).filter((value) => value === undefined)).toEqual([]);
    expect(native.cpu().allowed.length).toBeGreaterThan(0);
  });

  it('tries only the file that TWINKLE_NATIVE names', async () => {
    expect(addonCandidates({ TWINKLE_NATIVE: '/x.node' })).toEqual(['/x.node']);
    expect(addonCandidates({}, '/pkg/')).toEqual([
      '/pkg/build/Release/twinkle.node',
      `/pkg/dist/native/${process.platform}-${process.arch}/twinkle.node`,
    ]);
    expect(packageRoot()).toMatch(/\/$/);
    expect(await freshLoad(addonPath)).toHaveProperty('abi', NATIVE_ABI);
  });

  it('says what is wrong with a file', async () => {
    expect(await freshLoad('/nowhere/twinkle.node')).toMatchObject({
      code: 'NATIVE_MISSING',
      message: expect.stringContaining('/nowhere/twinkle.node: no such file'),
    });
    const text = await freshLoad(file('text.node', 'not a library'));
    expect(text).toMatchObject({ message: expect.stringMatching(/text\.node: .*(too short|ELF)/) });
    const old = await freshLoad(file('old.cjs', 'module.exports = { abi: 0 }'));
    expect(old).toMatchObject({ message: expect.stringContaining(`its ABI is 0 and ${NATIVE_ABI} is needed`) });
  });
});

describe('the fixes', () => {
  const fixes = (reason: string, env: NodeJS.ProcessEnv) => nativeMissing([{ path: '/a', reason }], env).message;

  it('are numbered and fit the reasons', () => {
    const bare = fixes('no such file', { PATH: '/nowhere' });
    expect(bare).toMatch(/1\. install a C\+\+20 compiler[\s\S]*2\. install cmake[\s\S]*3\. build the addon/);
    const tools = file('c++', '');
    copyFileSync('/bin/true', tools);
    copyFileSync('/bin/true', join(folder, 'cmake'));
    const glibc = fixes("/lib/libc.so.6: version `GLIBC_2.38' not found (required by x)", { PATH: folder });
    expect(glibc).toMatch(/1\. the file needs GLIBC_2\.38[\s\S]*2\. build the addon/);
    expect(fixes('invalid ELF header', { PATH: folder })).toContain('another processor');
    expect(fixes('no such file', { PATH: folder, TWINKLE_NATIVE: '/x' })).toContain('unset TWINKLE_NATIVE');
  });

  it('keep one line of each reason', () => {
    expect(reasonOf(new Error("Cannot find module '/x'\nRequire stack:"))).toBe('no such file');
    expect(reasonOf(new Error('one\ntwo'))).toBe('one');
    expect(reasonOf('text')).toBe('text');
  });
});

describe('probeNative', () => {
  it('loads the addon in a child and brings its devices', async () => {
    vi.stubEnv('TWINKLE_FAKE_DEVICES', 'npu:2');
    const probe = await probeNative(['/nowhere/a.node', addonPath]);
    vi.unstubAllEnvs();
    expect(probe).toMatchObject({ ok: true, path: addonPath, signal: null });
    expect(probe.reasons.map(({ path }) => path)).toEqual(['/nowhere/a.node']);
    expect(probe.devices?.devices).toHaveLength(2);
  });

  it('survives a file that crashes and one that hangs', async () => {
    const crash = file('crash.cjs', 'process.kill(process.pid, "SIGSEGV"); while (true);');
    expect(await probeNative([crash])).toEqual({
      ok: false,
      path: null,
      signal: 'SIGSEGV',
      devices: null,
      reasons: [{ path: crash, reason: 'the child that loaded it ended by SIGSEGV' }],
    });
    const hang = file('hang.cjs', 'while (true);');
    const probe = await probeNative([hang], 300);
    expect(probe).toMatchObject({ ok: false, reasons: [{ path: hang, reason: 'no answer within 300 ms' }] });
  });

  it('collects every reason', async () => {
    const old = file('old-abi.cjs', 'module.exports = { abi: 0 }');
    const probe = await probeNative(['/nowhere/a.node', old]);
    expect(probe).toMatchObject({ ok: false, path: null, signal: null, devices: null });
    expect(probe.reasons[1]).toEqual({ path: old, reason: `its ABI is 0 and ${NATIVE_ABI} is needed` });
  });
});
