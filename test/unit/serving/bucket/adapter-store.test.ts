/** Adapters from a bucket, through AWS's SDK and over HTTP, from a store of the test. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AdapterStore, type FetchPolicy } from '../../../../src/serving/bucket/adapter-store.js';
import { BucketAdapters } from '../../../../src/serving/bucket/bucket-adapters.js';
import { openS3 } from '../../../../src/serving/bucket/s3-objects.js';
import { deferred } from '../../../../src/util/deferred.js';
import { refuse, S3Server } from '../../../support/s3-server.js';

const POLICY: FetchPolicy = { timeoutMs: 5_000, tries: 3 };
const URL_OF_SQL = 's3://bucket/loras/sql';
const SQL = { bucket: 'bucket', prefix: 'loras/sql' };

let s3: S3Server;
let home: string;
let store: AdapterStore;
let failed: string[];
beforeEach(async () => {
  s3 = await S3Server.start();
  for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value);
  home = mkdtempSync(join(tmpdir(), 'twinkle-bucket-'));
  failed = [];
  store = new AdapterStore(join(home, 'adapters', 'me'), (_place, { why }) => failed.push(why));
  s3.putAdapter('loras/sql');
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await s3[Symbol.asyncDispose]();
  vi.unstubAllEnvs();
  rmSync(home, { recursive: true, force: true });
});

const gets = (): string[] => s3.asked.filter((line) => line.startsWith('GET'));
const kept = (): string[] => (existsSync(store.folder) ? readdirSync(store.folder) : []);
const load = (name = 'sql', url = URL_OF_SQL, policy = POLICY) => new BucketAdapters(store, policy).localise(name, url);

describe('a fetch', () => {
  it('brings the adapter’s files and no others, over pages, for this user alone', async () => {
    for (const other of [
      'README.md',
      'adapter_model.bin',
      'optimizer.pt',
      'run.py',
      'checkpoint-1/adapter_config.json',
    ])
      s3.put(`loras/sql/${other}`, 'x');
    s3.put('loras/sql/tokenizer.json', '{}');
    s3.put('loras/sql-two/adapter_config.json', 'another');
    s3.put('loras/sql/', '');
    s3.pageSize = 2;
    const { path, origin } = await load();
    expect(readdirSync(path).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors', 'tokenizer.json']);
    expect(readFileSync(join(path, 'adapter_model.safetensors'), 'utf8')).toBe('weights');
    expect(origin).toBe(URL_OF_SQL);
    expect(statSync(store.folder).mode & 0o777).toBe(0o700);
    expect(kept()).toHaveLength(1);
    expect(s3.asked.filter((line) => line === 'LIST loras/sql/').length).toBeGreaterThan(2);
  });

  it('is shared by all that ask at once, and its folder goes with the last of them', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => load()));
    expect(new Set(all.map(({ path }) => path)).size).toBe(1);
    expect(gets()).toHaveLength(2);
    const [{ path } = { path: '' }] = all;
    for (const files of all.slice(1)) {
      files.release();
      files.release();
    }
    const again = await load('other-name');
    expect(again.path).toBe(path);
    expect(gets()).toHaveLength(2);
    all[0]?.release();
    expect(existsSync(path)).toBe(true);
    again.release();
    await vi.waitFor(() => expect(kept()).toEqual([]));
  });

  it('brings a new version into a folder of its own beside the one in use', async () => {
    const old = await load();
    s3.putAdapter('loras/sql', 'better');
    const fresh = await load();
    expect(fresh.path).not.toBe(old.path);
    expect(readFileSync(join(old.path, 'adapter_model.safetensors'), 'utf8')).toBe('weights');
    expect(readFileSync(join(fresh.path, 'adapter_model.safetensors'), 'utf8')).toBe('better');
    old.release();
    await vi.waitFor(() => expect(kept()).toHaveLength(1));
    expect(existsSync(fresh.path)).toBe(true);
  });
});

describe('misfortunes', () => {
  it('a body that is cut off is fetched again, what came whole is not', async () => {
    let cuts = 2;
    s3.put('loras/sql/adapter_model.safetensors', Buffer.alloc(200_000, 1));
    s3.misfortune = (request, response) => {
      if (!request.url?.includes('safetensors') || cuts === 0) return false;
      cuts -= 1;
      response.writeHead(200, { 'content-length': 200_000 });
      response.write(Buffer.alloc(50_000, 1), () => response.destroy());
      return true;
    };
    const { path } = await load();
    expect(readFileSync(join(path, 'adapter_model.safetensors'))).toHaveLength(200_000);
    expect(gets().filter((line) => line.includes('adapter_config'))).toHaveLength(1);
    expect(failed).toHaveLength(2);
  });

  it('a body that is shorter than was listed is no adapter, however often it is tried', async () => {
    s3.misfortune = (request, response) => {
      if (!request.url?.includes('safetensors')) return false;
      response.writeHead(200, { 'content-length': 3 });
      response.end('abc');
      return true;
    };
    await expect(load()).rejects.toMatchObject({
      code: 'NOT_READY',
      retryAfterMs: 1000,
      message: expect.stringContaining('3 of 7 bytes'),
    });
    expect(gets().filter((line) => line.includes('safetensors'))).toHaveLength(3);
    expect(kept()).toEqual([]);
  });

  it('an object that is replaced between list and read comes from a new list', async () => {
    s3.misfortune = (request) => {
      const first =
        request.url?.includes('safetensors') === true &&
        s3.objects.get('loras/sql/adapter_model.safetensors')?.toString() === 'weights';
      if (first) s3.putAdapter('loras/sql', 'replaced');
      return false;
    };
    const { path } = await load();
    expect(readFileSync(join(path, 'adapter_model.safetensors'), 'utf8')).toBe('replaced');
    expect(failed).toEqual(['its objects changed while they were fetched']);
  });

  it('a store that answers nothing meets the time limit of each try', async () => {
    s3.misfortune = () => true;
    await expect(load('sql', URL_OF_SQL, { timeoutMs: 100, tries: 2 })).rejects.toMatchObject({
      code: 'NOT_READY',
      message: expect.stringContaining('TimeoutError'),
    });
    expect(s3.asked).toHaveLength(2);
  });

  it('a store that is busy is asked again', async () => {
    let busy = 2;
    s3.misfortune = (_request, response) => {
      if (busy === 0) return false;
      busy -= 1;
      refuse(response, 503, 'SlowDown');
      return true;
    };
    expect(kept()).toEqual([]);
    await load();
    expect(failed).toEqual(new Array(2).fill('the bucket could not be read (SlowDown, status 503)'));
  });

  it.each([
    [404, 'NoSuchBucket', 'MODEL_NOT_FOUND', 'does not exist'],
    [403, 'AccessDenied', 'MODEL_NOT_FOUND', 'denies'],
    [403, 'SignatureDoesNotMatch', 'NOT_READY', 'credentials'],
    [400, 'ExpiredToken', 'NOT_READY', 'credentials'],
    [400, 'AuthorizationHeaderMalformed', 'NOT_READY', 'AWS_REGION'],
  ])('%i %s is said at once, in clear words and without secrets', async (status, word, code, words) => {
    s3.misfortune = (_request, response) => {
      refuse(response, status, word);
      return true;
    };
    const error = await load().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code, message: expect.stringContaining(words) });
    expect(String(error)).not.toMatch(/geheim|AKIA|Signature=|127\.0\.0\.1/);
    expect(s3.asked).toHaveLength(1);
  });

  it('a fetch under way ends with the server, and nothing stays', async () => {
    const reached = deferred<void>();
    s3.misfortune = (request, response) => {
      if (!request.url?.includes('safetensors')) return false;
      response.writeHead(200, { 'content-length': 7 });
      response.write('wei', () => reached.resolve());
      return true;
    };
    const half = load().catch((error: unknown) => error);
    await reached.promise;
    expect(kept()).toEqual(['.draft-1']);
    await store[Symbol.asyncDispose]();
    expect(await half).toMatchObject({ code: 'DRAINING' });
    expect(existsSync(store.folder)).toBe(false);
    await expect(load()).rejects.toMatchObject({ code: 'DRAINING' });
  });
});

describe('what is refused', () => {
  it('an adapter that is not there, or has no weights', async () => {
    s3.put('loras/half/adapter_config.json', '{}');
    s3.put('loras/half/adapter_model.bin', 'x');
    const missing = load('none', 's3://bucket/loras/none');
    await expect(missing).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND', status: 404, param: 'lora_path' });
    await expect(load('half', 's3://bucket/loras/half')).rejects.toThrow('no weights (*.safetensors)');
    expect(kept()).toEqual([]);
  });

  it('a key that leads out of the folder', async () => {
    s3.misfortune = (request, response) => {
      if (!request.url?.includes('list-type')) return false;
      const keys = ['loras/sql/adapter_config.json', 'loras/sql/a.safetensors', 'loras/sql/../../evil.safetensors'];
      const contents = keys.map((key) => `<Contents><Key>${key}</Key><ETag>e</ETag><Size>1</Size></Contents>`);
      response.end(`<ListBucketResult><IsTruncated>false</IsTruncated>${contents.join('')}</ListBucketResult>`);
      return true;
    };
    await expect(load()).rejects.toThrow('leads elsewhere');
    expect(gets()).toEqual([]);
    expect(readdirSync(home)).toEqual([]);
  });

  it('an adapter beyond all size', async () => {
    s3.misfortune = (request, response) => {
      if (!request.url?.includes('list-type')) return false;
      const sizes = [
        ['adapter_config.json', 10],
        ['a.safetensors', 2 ** 40],
      ];
      const contents = sizes.map(
        ([file, size]) => `<Contents><Key>loras/sql/${file}</Key><ETag>e</ETag><Size>${size}</Size></Contents>`,
      );
      response.end(`<ListBucketResult><IsTruncated>false</IsTruncated>${contents.join('')}</ListBucketResult>`);
      return true;
    };
    await expect(load()).rejects.toMatchObject({ code: 'INVALID_REQUEST', message: expect.stringContaining('bytes') });
    expect(gets()).toEqual([]);
  });

  it.each(['s3://', 's3://b', 's3://bucket/a/../b', 's3://bucket//x', 's3://bucket/a\\b', 's3://-b/x'])(
    '%j',
    async (url) => {
      await expect(load('sql', url)).rejects.toMatchObject({ code: 'INVALID_REQUEST', param: 'lora_path' });
      expect(s3.asked).toEqual([]);
    },
  );

  it('everything without the SDK, with the command that installs it', async () => {
    const absent = 'a-package-that-is-not-there';
    const bare = new AdapterStore(join(home, 'bare'), undefined, () => openS3({}, () => import(absent)));
    await expect(bare.fetch(SQL, POLICY)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('npm install @aws-sdk/client-s3'),
    });
  });
});

describe('the source of a dynamic loading path', () => {
  it('finds adapters by plain names below the prefix, and tells a client no bucket', async () => {
    const source = new BucketAdapters(store, POLICY).source('s3://bucket/loras/');
    expect(source.has('sql')).toBe(true);
    expect(source.has('../sql')).toBe(false);
    expect(await source.fetch('sql')).toMatchObject({ origin: URL_OF_SQL });
    const none = await source.fetch('none').catch((error: unknown) => error);
    expect(none).toMatchObject({ code: 'MODEL_NOT_FOUND', param: 'model' });
    expect(String(none)).not.toContain('loras');
    await expect(source.fetch('../sql')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
  });

  it('may be a folder; of another store the first request hears what to do', async () => {
    const buckets = new BucketAdapters(store, POLICY);
    expect(buckets.source(home).has('sql')).toBe(false);
    const other = buckets.source('gs://bucket/loras');
    expect(other.has('sql')).toBe(true);
    await expect(other.fetch('sql')).rejects.toThrow('gs://');
    expect(() => buckets.source('s3://bucket//x')).toThrow('dynamic_lora_loading_path');
    expect(await buckets.localise('x', '/a/folder')).toMatchObject({ path: '/a/folder' });
  });
});
