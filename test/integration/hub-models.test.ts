/** Real Python; the library is a stand-in, as there is no hub: it has one model in its cache and "fetches" another. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { fetchedFromHub } from '../../src/runtime/hub-models.js';
import { testPython } from '../support/pythons.js';

const LIBRARY = `
import os, sys
def snapshot_download(name, local_files_only=False):
    print("progress", file=sys.stderr)
    if local_files_only and name != "org/cached":
        raise ValueError("not here")
    if name == "org/none":
        raise RuntimeError("no such model")
    print("Downloading")
    return f"/cache/{name}" + ("" if local_files_only else "/fetched")
`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hub-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function fetched(model: string, library: string | null): Promise<string | undefined> {
  if (library !== null) {
    mkdirSync(join(folder, 'modelscope'));
    writeFileSync(join(folder, 'modelscope', '__init__.py'), library);
  }
  const pythons = new Map([['transformers', { python: await testPython() }] as const]);
  const env = { ...process.env, PYTHONPATH: folder };
  const [one] = await fetchedFromHub([{ model, engine: 'transformers' }], { pythons, env });
  return one?.model;
}

it('takes what the cache has, fetches what it has not, and leaves other models alone', async () => {
  expect(await fetched('ms://org/cached', LIBRARY)).toBe('/cache/org/cached');
  expect(await fetched('ms://org/other', null)).toBe('/cache/org/other/fetched');
  expect(await fetched('org/name', null)).toBe('org/name');
});

it('says what the library says, and what to install where it is missing', async () => {
  await expect(fetched('ms://org/cached', null)).rejects.toThrow(/no modelscope: .*python.* -m pip install modelscope/);
  await expect(fetched('ms://org/none', LIBRARY)).rejects.toThrow(
    'model ms://org/none is in no cache of this machine and could not be fetched: RuntimeError: no such model',
  );
});

it('ranks that are played load nothing', async () => {
  const models = [{ model: 'ms://org/none', engine: 'mock' }] as const;
  expect(await fetchedFromHub(models, { pythons: new Map(), env: {} })).toEqual(models);
});
