import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createFakeNative } from '../../../src/native/fake.js';
import { fakeDeviceReport } from '../../../src/native/fake-devices.js';
import { type HeadRequest, startStandaloneHead } from '../../../src/runtime/start-head.js';

let home = '';
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'twinkle-start-'));
});
afterEach(() => rmSync(home, { recursive: true }));

function start(request: Partial<HeadRequest>): Promise<unknown> {
  const whole = {
    home,
    gpus: null,
    npus: null,
    numCpus: 1,
    numGpus: null,
    objectStoreMemory: null,
    objectSpillDir: null,
    graceMs: 1000,
    logLevel: 'info',
    ...request,
  };
  const native = { ...createFakeNative(), devices: () => fakeDeviceReport('gpu:2') };
  return startStandaloneHead(whole as HeadRequest, native, {});
}

test.each([
  [{ gpus: 'abc' }, /no GPU "abc" for `--gpus`: .*, or leave `--gpus` out to offer what is here$/],
  [{ npus: '0' }, /no NPU "0" for `--npus`: .*, or leave `--npus` out to offer what is here$/],
])('devices that are not here (%j): advice that fits this command', async (request, words) => {
  await expect(start(request)).rejects.toThrow(words);
  await expect(start(request)).rejects.not.toThrow(/--cpu/);
  expect(readdirSync(home)).toEqual([]);
});

test('a home that cannot be', async () => {
  await expect(start({ home: '/proc/x/y' })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('cannot use /proc/x/y as the home folder'),
  });
});
