/** A server that speaks S3 and that somebody else wrote (moto): with buckets, policies and multipart uploads, in a process of its own. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import {
  CreateBucketCommand,
  DeleteBucketPolicyCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { PACKAGE_ROOT } from '../../src/config/package-root.js';
import { testPython } from './pythons.js';

const run = promisify(execFile);
const BUCKET = 'checkpoints';

/** Its Python; the environment is made the first time (90 MB, half a minute). */
async function motoPython(): Promise<string> {
  const list = join(PACKAGE_ROOT, 'python-workers', 'requirements', 'test-s3.txt');
  const under = await testPython();
  const key = createHash('sha256').update(readFileSync(list)).update(under).digest('hex').slice(0, 16);
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const folder = join(cache, 'twinkle-node', `s3-${key}`);
  const python = join(folder, 'bin', 'python');
  const ready = join(folder, '.ready');
  if (existsSync(ready)) return python;
  rmSync(folder, { recursive: true, force: true });
  await run(under, ['-m', 'venv', folder]);
  await run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '-r', list]);
  writeFileSync(ready, '');
  return python;
}

export class Moto implements AsyncDisposable {
  readonly #client: S3Client;

  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
  ) {
    const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
    this.#client = new S3Client({ endpoint: url, region: 'us-east-1', forcePathStyle: true, credentials });
  }

  /** With one empty bucket. */
  static async start(): Promise<Moto> {
    const child = spawn(await motoPython(), ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(await freePort())], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    for await (const line of createInterface({ input: child.stderr })) {
      const url = /Running on (http:\S+)/.exec(line)?.[1];
      if (url === undefined) continue;
      child.stderr.resume(); // it tells of every request
      const moto = new Moto(child, url);
      await moto.#client.send(new CreateBucketCommand({ Bucket: BUCKET }));
      return moto;
    }
    throw new Error('moto ended before it listened');
  }

  /** A place in its bucket. */
  place(prefix: string): string {
    return `s3://${BUCKET}/${prefix}`;
  }

  /** What a process needs to find it: the SDK's own variables. */
  get env(): Record<string, string> {
    return {
      AWS_ENDPOINT_URL_S3: this.url,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'AKIATESTKEY',
      AWS_SECRET_ACCESS_KEY: 'geheim-geheim',
      AWS_EC2_METADATA_DISABLED: 'true',
    };
  }

  /** Names of the objects below a prefix. */
  async keys(prefix: string): Promise<string[]> {
    const { Contents = [] } = await this.#client.send(
      new ListObjectsV2Command({ Bucket: BUCKET, Prefix: `${prefix}/` }),
    );
    return Contents.flatMap(({ Key }) => Key ?? []);
  }

  /** From now on what is asked for keys like that is refused. `keys` may have stars. */
  async deny(action: string, keys: string): Promise<void> {
    const rule = { Effect: 'Deny', Principal: '*', Action: action, Resource: `arn:aws:s3:::${BUCKET}/${keys}` };
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [rule] });
    await this.#client.send(new PutBucketPolicyCommand({ Bucket: BUCKET, Policy }));
  }

  async allow(): Promise<void> {
    await this.#client.send(new DeleteBucketPolicyCommand({ Bucket: BUCKET }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.destroy();
    this.child.kill('SIGKILL');
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit');
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
