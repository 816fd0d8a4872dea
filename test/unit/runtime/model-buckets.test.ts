/** What a head fetches before its engines start, from a store of the test. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { SILENT } from '../../../src/observability/logger.js';
import { ModelBuckets } from '../../../src/runtime/model-buckets.js';
import { deferred } from '../../../src/util/deferred.js';
import { modelConfig } from '../../support/model-config.js';
import { S3Server } from '../../support/s3-server.js';

let s3: S3Server;
let home: string;
let buckets: ModelBuckets;
beforeEach(async () => {
  s3 = await S3Server.start();
  s3.putAdapter('loras/sql');
  for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value);
  home = mkdtempSync(join(tmpdir(), 'twinkle-models-'));
  buckets = new ModelBuckets(home, 'abc123', SILENT);
});
afterEach(async () => {
  await buckets[Symbol.asyncDispose]();
  await s3[Symbol.asyncDispose]();
  vi.unstubAllEnvs();
  rmSync(home, { recursive: true, force: true });
});

const MODEL = modelConfig({ engineArgs: { lora_modules: ['sql=s3://bucket/loras/sql'] } });

it('engines find on the disk what they load at their starts, until the head ends', async () => {
  const [{ engineArgs } = MODEL] = await buckets.fetched([MODEL]);
  const [, folder = ''] = String(engineArgs.lora_modules).split('=');
  expect(folder.startsWith(join(home, 'adapters', `${process.pid}-`))).toBe(true);
  expect(readFileSync(join(folder, 'adapter_model.safetensors'), 'utf8')).toBe('weights');
  await buckets[Symbol.asyncDispose]();
  expect(readdirSync(join(home, 'adapters'))).toEqual([]);
});

it('a start that is withdrawn meanwhile ends at once, for the reason given', async () => {
  const reached = deferred<void>();
  s3.misfortune = () => {
    reached.resolve();
    return true;
  };
  const withdrawn = new AbortController();
  const fetched = buckets.fetched([MODEL], withdrawn.signal);
  await reached.promise;
  withdrawn.abort(new Error('SIGTERM'));
  await expect(fetched).rejects.toThrow('SIGTERM');
  expect(existsSync(join(home, 'adapters'))).toBe(false);
});

it('the limits are those of the model', async () => {
  s3.misfortune = () => true;
  const lora = { dynamicPath: null, maxAdaptersPerReplica: 1, downloadTimeoutMs: 50, maxDownloadTries: 1 };
  await expect(buckets.fetched([{ ...MODEL, lora }])).rejects.toMatchObject({ code: 'NOT_READY' });
  expect(s3.asked).toHaveLength(1);
  expect(buckets.of(MODEL).policy).toEqual({ timeoutMs: 30_000, tries: 10 });
});
