/** A small store of objects that speaks S3: ListObjectsV2 and GetObject, path style, with misfortunes on order. Checks no signature. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Decides about a request before the store does; true: it has been answered. */
type Misfortune = (request: IncomingMessage, response: ServerResponse) => boolean;

const BUCKET = 'bucket';

export class S3Server implements AsyncDisposable {
  readonly objects = new Map<string, Buffer>();
  /** `LIST prefix` and `GET key`, as they came. */
  readonly asked: string[] = [];
  misfortune: Misfortune = () => false;
  pageSize = 1000;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async start(): Promise<S3Server> {
    const store = new S3Server();
    store.#server.listen(0, '127.0.0.1');
    await once(store.#server, 'listening');
    return store;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
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

  put(key: string, content: string | Buffer): void {
    this.objects.set(key, Buffer.from(content));
  }

  /** A folder that passes for an adapter. */
  putAdapter(prefix: string, weights = 'weights'): void {
    this.put(`${prefix}/adapter_config.json`, '{"r": 4}');
    this.put(`${prefix}/adapter_model.safetensors`, weights);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '', 'http://store');
    const [, bucket = '', ...rest] = url.pathname.split('/');
    const key = decodeURIComponent(rest.join('/'));
    const list = url.searchParams.get('list-type') === '2';
    this.asked.push(list ? `LIST ${url.searchParams.get('prefix')}` : `GET ${key}`);
    if (this.misfortune(request, response)) return;
    if (bucket !== BUCKET) refuse(response, 404, 'NoSuchBucket');
    else if (list) this.#list(url.searchParams, response);
    else this.#get(key, request, response);
  }

  #list(query: URLSearchParams, response: ServerResponse): void {
    const prefix = query.get('prefix') ?? '';
    const after = query.get('continuation-token') ?? '';
    const keys = [...this.objects.keys()].sort().filter((key) => key.startsWith(prefix) && key > after);
    const flat = keys.filter((key) => !key.slice(prefix.length).includes('/'));
    const page = flat.slice(0, this.pageSize);
    const more = page.length < flat.length;
    const contents = page.map((key) => {
      const content = this.objects.get(key) ?? Buffer.alloc(0);
      return `<Contents><Key>${xml(key)}</Key><ETag>${xml(etagOf(content))}</ETag><Size>${content.length}</Size></Contents>`;
    });
    const token = more ? `<NextContinuationToken>${xml(page.at(-1) ?? '')}</NextContinuationToken>` : '';
    response.writeHead(200, { 'content-type': 'application/xml' });
    response.end(
      `<?xml version="1.0"?><ListBucketResult><IsTruncated>${more}</IsTruncated>${token}${contents.join('')}</ListBucketResult>`,
    );
  }

  #get(key: string, request: IncomingMessage, response: ServerResponse): void {
    const content = this.objects.get(key);
    const wanted = request.headers['if-match'];
    if (content === undefined) refuse(response, 404, 'NoSuchKey');
    else if (wanted !== undefined && wanted !== etagOf(content)) refuse(response, 412, 'PreconditionFailed');
    else response.writeHead(200, { 'content-length': content.length, etag: etagOf(content) }).end(content);
  }
}

/** An error as S3 words it, with what must never reach a client. */
export function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/xml' });
  const message = 'see https://store/?X-Amz-Signature=geheim';
  response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`);
}

function etagOf(content: Buffer): string {
  return `"${createHash('md5').update(content).digest('hex')}"`;
}

function xml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
