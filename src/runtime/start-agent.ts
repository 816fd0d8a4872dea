/** From what `start --address` was told to a running agent: devices of this box, log, token. Wiring only. */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { makeHomeFolder } from '../config/home-folder.js';
import { packageVersion } from '../config/package-root.js';
import { TwinkleError } from '../errors.js';
import type { Native } from '../native/types.js';
import { fileLogger } from '../observability/logger.js';
import { type AgentDaemon, startAgentDaemon } from './agent-daemon.js';
import { openAgentWork } from './agent-work.js';
import { type BoxRequest, offeredHere, storeBytes } from './box-offer.js';
import { readToken } from './join-token.js';
import { localNode } from './local-node.js';
import { addressTowards } from './node-address.js';
import { type TcpAddress, writeTcpAddress } from './tcp-address.js';

type Env = Readonly<Record<string, string | undefined>>;

export interface AgentRequest extends BoxRequest {
  readonly head: TcpAddress;
  /** As the head printed it. */
  readonly token: string;
  /** By which other boxes reach this one; null: the address that packets to the head come from. */
  readonly nodeAddress: string | null;
}

/** A head that was started at the same moment is there by then. */
const JOIN_MS = 5000;
const PROBE_MS = 2000;

/**
 * Start an agent for this box.
 * @param env without the token: workers inherit it
 * @throws `DEVICE_MISSING`, `CONFIG_INVALID`, `USAGE`, `HEAD_UNREACHABLE`, the head's refusal
 */
export async function startAgent(
  request: AgentRequest,
  native: Native,
  env: Env,
  signal?: AbortSignal,
): Promise<AgentDaemon> {
  const { home, head } = request;
  const curve = readToken(request.token);
  const instance = randomBytes(6).toString('hex');
  const offer = offeredHere(request, native, env);
  const store = storeBytes(request, native);
  const address = request.nodeAddress ?? (await addressTowards(head));
  const identity = { name: hostname(), address, version: packageVersion(), pid: process.pid };
  const folder = makeHomeFolder(home, 'logs', instance);
  const log = fileLogger(request.logLevel, join(folder, 'agent.log'));
  for (const reason of offer.leftOut) log.warn({ reason }, 'device_left_out');
  const node = localNode({ ...identity, id: '', incarnation: '' }, offer, native.cpu(), store);
  try {
    const daemon = await startAgentDaemon({
      ...{ home, head, curve, node, log, instance },
      work: ({ node: id, folders }, opened) =>
        openAgentWork({
          ...{ home, native, log, instance, folders, opened, node: id, host: address, devices: offer.devices },
          ...{ storeBytes: node.total.object_store_memory ?? 0, spillParent: request.objectSpillDir },
          ...{ inherited: env, logLevel: request.logLevel },
        }),
      timeoutMs: JOIN_MS,
      ...(signal === undefined ? {} : { signal }),
    });
    return {
      ...daemon,
      [Symbol.asyncDispose]: async () => {
        await daemon[Symbol.asyncDispose]();
        log.close();
      },
    };
  } catch (error) {
    log.close();
    throw await explained(error, head);
  }
}

/** Nobody there, or somebody who does not let us in: ZeroMQ tells both alike. */
async function explained(error: unknown, head: TcpAddress): Promise<unknown> {
  if (!(error instanceof TwinkleError) || error.code !== 'HEAD_UNREACHABLE') return error;
  const where = writeTcpAddress(head);
  const why = (await isListening(head))
    ? `what listens at ${where} does not let this box in: is that port the head's, and the token this head's? \`npx twinkle-node token\` on its box prints both`
    : `nobody listens at ${where}: see with \`npx twinkle-node status\` on that box whether its head runs and was started with --port, and that no firewall is between`;
  return new TwinkleError('HEAD_UNREACHABLE', why, { cause: error });
}

function isListening({ host, port }: TcpAddress): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: PROBE_MS });
    const done = (listens: boolean): void => {
      socket.destroy();
      resolve(listens);
    };
    socket.once('connect', () => done(true));
    socket.once('timeout', () => done(false));
    socket.once('error', () => done(false));
  });
}
