/** The flags of `start`, read and checked: what a head or an agent is asked for. */
import { resolve } from 'node:path';
import { parseBytes, parseNumber } from '../../config/quantity.js';
import { TwinkleError } from '../../errors.js';
import type { BoxRequest } from '../../runtime/box-offer.js';
import { TOKEN_VARIABLE } from '../../runtime/join-token.js';
import { defaultAddress, namedAddress, type OwnAddress } from '../../runtime/node-address.js';
import type { AgentRequest } from '../../runtime/start-agent.js';
import type { HeadRequest } from '../../runtime/start-head.js';
import { readTcpAddress } from '../../runtime/tcp-address.js';
import type { CliIo } from '../io.js';

export interface StartFlags {
  readonly head?: boolean;
  readonly address?: string;
  readonly token?: string;
  readonly port?: string;
  readonly nodeIpAddress?: string;
  readonly block?: boolean;
  readonly json?: boolean;
  readonly home?: string;
  readonly gpus?: string;
  readonly npus?: string;
  readonly numCpus?: string;
  readonly numGpus?: string;
  readonly objectStoreMemory?: string;
  readonly objectSpillDir?: string;
  readonly headGrace: string;
  readonly logLevel: string;
}

/** What is to be started. */
export type StartRequest =
  | {
      readonly kind: 'head';
      readonly request: HeadRequest;
      /** Where it listens for other boxes, and how that was found; null: nowhere. */
      readonly own: OwnAddress | null;
    }
  | { readonly kind: 'agent'; readonly request: AgentRequest };

const HIGHEST_PORT = 65_535;
const LEAST_STORE = 2 ** 20;
const LONGEST_GRACE_S = 86_400;

/** @throws `USAGE`, `CONFIG_INVALID` */
export function readStart(flags: StartFlags, home: string, io: CliIo): StartRequest {
  const { head = false, address } = flags;
  if (head === (address !== undefined)) {
    throw new TwinkleError(
      'USAGE',
      `expected ${head ? 'either' : 'one of'} \`--head\` (this box is the head) ${head ? 'or' : 'and'} \`--address HOST:PORT\` (this box joins the head there)${head ? ', not both' : ''}`,
    );
  }
  const box = readBox(flags, home, io.cwd);
  const named = flags.nodeIpAddress === undefined ? null : namedAddress(flags.nodeIpAddress);
  if (address !== undefined) return { kind: 'agent', request: readAgent(flags, address, box, named, io) };
  if (flags.token !== undefined)
    throw new TwinkleError('USAGE', '`--token` is for boxes that join: say it with `--address`');
  const graceMs = number(flags.headGrace, '--head-grace', 1, LONGEST_GRACE_S) * 1000;
  if (flags.port === undefined) {
    if (named === null) return { kind: 'head', request: { ...box, graceMs, listen: null }, own: null };
    throw new TwinkleError(
      'USAGE',
      'expected `--port` beside `--node-ip-address`: without it the head is for this box alone',
    );
  }
  const own = named ?? defaultAddress();
  const listen = { host: own.address, port: whole(flags.port, '--port', HIGHEST_PORT) };
  return { kind: 'head', request: { ...box, graceMs, listen }, own };
}

function readAgent(
  flags: StartFlags,
  address: string,
  box: BoxRequest,
  named: OwnAddress | null,
  { env }: CliIo,
): AgentRequest {
  if (flags.port !== undefined) {
    throw new TwinkleError('USAGE', '`--port` is the port of a head: with `--address` it stands there, after the host');
  }
  const token = flags.token ?? env[TOKEN_VARIABLE] ?? '';
  if (token.trim() === '') {
    throw new TwinkleError(
      'USAGE',
      `expected \`--token\` or ${TOKEN_VARIABLE}: \`npx twinkle-node token\` on the box of the head prints the whole line`,
    );
  }
  return { ...box, head: readTcpAddress(address, '--address'), token, nodeAddress: named?.address ?? null };
}

function readBox(flags: StartFlags, home: string, cwd: string): BoxRequest {
  return {
    home,
    gpus: flags.gpus ?? null,
    npus: flags.npus ?? null,
    numCpus: flags.numCpus === undefined ? null : whole(flags.numCpus, '--num-cpus'),
    numGpus: flags.numGpus === undefined ? null : whole(flags.numGpus, '--num-gpus'),
    objectStoreMemory: flags.objectStoreMemory === undefined ? null : memory(flags.objectStoreMemory),
    objectSpillDir: flags.objectSpillDir === undefined ? null : resolve(cwd, flags.objectSpillDir),
    logLevel: flags.logLevel as BoxRequest['logLevel'],
  };
}

function number(text: string, name: string, min: number, max: number): number {
  const value = parseNumber(text);
  if (value === null || value < min || value > max) {
    throw new TwinkleError('USAGE', `expected a number from ${min} to ${max} for \`${name}\` but received "${text}"`);
  }
  return value;
}

function whole(text: string, name: string, max = 1_000_000): number {
  const value = number(text, name, 0, max);
  if (!Number.isInteger(value)) {
    throw new TwinkleError('USAGE', `expected a whole number for \`${name}\` but received "${text}"`);
  }
  return value;
}

function memory(text: string): number {
  const bytes = parseBytes(text);
  if (bytes === null || bytes < LEAST_STORE) {
    throw new TwinkleError(
      'USAGE',
      `expected bytes from 1MiB, like 10GiB, for \`--object-store-memory\` but received "${text}"`,
    );
  }
  return bytes;
}
