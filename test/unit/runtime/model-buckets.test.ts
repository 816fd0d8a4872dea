/** What a head fetches before its engines start, from a store of the test. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Logger, SILENT } from '../../../src/observability/logger.js';
import { ModelBuckets } from '../../../src/runtime/model-buckets.js';
import type { BucketAdapters } from '../../../src/serving/bucket/bucket-adapters.js';
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

describe('the variables of a model', () => {
  const envVars = (more: object = {}) => ({
    AWS_ENDPOINT_URL: s3.url,
    AWS_ACCESS_KEY_ID: 'AKIAMODEL',
    AWS_SECRET_ACCESS_KEY: 'secret-of-the-model',
    AWS_REGION: 'eu-north-1',
    ...more,
  });
  /** Who signed, for which region, and with which token. */
  const signedBy = ({ headers }: IncomingMessage): unknown[] => {
    const [, key, region] = /Credential=([^/]+)\/\d+\/([^/]+)\//.exec(headers.authorization ?? '') ?? [];
    return [key, region, headers['x-amz-security-token']];
  };

  it('are its client’s, over the server’s and beside other models’, and the process keeps its own', async () => {
    await using other = await S3Server.start();
    other.putAdapter('loras/sql', 'of another store');
    const signed: unknown[][] = [];
    for (const store of [s3, other]) {
      store.misfortune = (request) => {
        signed.push([store === s3 ? 'ours' : 'other', ...signedBy(request)]);
        return false;
      };
    }
    const before = { ...process.env };
    const model = (own: Record<string, string>) => buckets.of(modelConfig({ envVars: own }));
    const read = async (from: BucketAdapters): Promise<string> => {
      const { path } = await from.localise('sql', 's3://bucket/loras/sql');
      return readFileSync(join(path, 'adapter_model.safetensors'), 'utf8');
    };
    const models = [
      model({}),
      model(envVars()),
      model(envVars({ AWS_ENDPOINT_URL: other.url, AWS_ACCESS_KEY_ID: 'AKIATHIRD', AWS_SESSION_TOKEN: 'token' })),
    ];
    expect(await Promise.all(models.map(read))).toEqual(['weights', 'weights', 'of another store']);
    const each = (...signature: unknown[]): unknown[][] => new Array(3).fill(signature);
    expect(signed).toHaveLength(9);
    expect(signed).toEqual(
      expect.arrayContaining([
        ...each('ours', 'AKIATESTKEY', 'us-east-1', undefined),
        ...each('ours', 'AKIAMODEL', 'eu-north-1', undefined),
        ...each('other', 'AKIATHIRD', 'eu-north-1', 'token'),
      ]),
    );
    expect(process.env).toEqual(before);
  });

  it('part stores where they speak of S3, and only there', () => {
    const store = (own: Record<string, string>) => buckets.of(modelConfig({ envVars: own })).store;
    expect(store({ HF_HOME: '/x' })).toBe(store({}));
    expect(store(envVars())).toBe(store(envVars({ VLLM_USE_V1: '1' })));
    expect(store(envVars())).not.toBe(store({}));
    expect(store(envVars())).not.toBe(store(envVars({ AWS_SECRET_ACCESS_KEY: 'another' })));
  });

  it('that the client cannot follow are named when an adapter is asked for, not before', async () => {
    const asking = buckets.of(modelConfig({ envVars: { AWS_ROLE_ARN: 'arn:aws:iam::1:role/r' } }));
    await expect(asking.localise('sql', 's3://bucket/loras/sql')).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('AWS_ROLE_ARN'),
    });
  });

  it('are never logged', async () => {
    const lines: unknown[] = [];
    const log = { ...SILENT, warn: (...line: unknown[]) => void lines.push(line) } as Logger;
    await using logging = new ModelBuckets(home, 'def456', log);
    // S3 says beside its message what it computed the signature of.
    s3.misfortune = ({ headers }, response) => {
      const token = headers['x-amz-security-token'];
      const facts = `<AWSAccessKeyId>AKIAMODEL</AWSAccessKeyId><CanonicalRequest>token:${token}</CanonicalRequest>`;
      response.writeHead(403, { 'content-type': 'application/xml' });
      response.end(`<Error><Code>SignatureDoesNotMatch</Code><Message>no match</Message>${facts}</Error>`);
      return true;
    };
    const own = envVars({ AWS_SESSION_TOKEN: 'token-of-the-model' });
    const asked = logging.of(modelConfig({ envVars: own })).localise('sql', 's3://bucket/loras/sql');
    const error = await asked.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'NOT_READY' });
    expect(lines).toMatchObject([[{ error: 'SignatureDoesNotMatch: no match' }, 'adapter_fetch_failed']]);
    expect(`${inspect(lines, { depth: 9 })}${inspect(error, { depth: 9 })}`).not.toMatch(/AKIAMODEL|-of-the-model/);
  });
});
