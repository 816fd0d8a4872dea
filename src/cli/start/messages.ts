/** What a head or an agent says when it is ready: to the command that started it, as the line of `--json`, and in words. */
import type { ErrorCode } from '../../errors.js';
import type { AgentDaemon } from '../../runtime/agent-daemon.js';
import type { ClusterDaemon } from '../../runtime/cluster-daemon.js';
import type { OwnAddress } from '../../runtime/node-address.js';
import type { CliIo } from '../io.js';

export interface HeadReady {
  readonly event: 'ready';
  /** `HOST:PORT` where other boxes join; without `--port` the socket of this box. */
  readonly address: string;
  readonly instance: string;
  readonly pid: number;
  readonly cluster: string;
  /** The shell line by which another box joins, with its token. With `--port` only. */
  readonly join?: string;
  /** The interface that `address` was taken from; null: the user named the address, or no interface has the default route. */
  readonly interface?: string | null;
}

export interface AgentReady {
  readonly event: 'ready';
  /** `HOST:PORT` of its head. */
  readonly address: string;
  readonly instance: string;
  readonly pid: number;
  /** Id of the node. */
  readonly node: string;
  /** By which other boxes reach it. */
  readonly nodeAddress: string;
}

export type ReadyMessage = HeadReady | AgentReady;

/** Why it could not start. */
export interface FailedMessage {
  readonly event: 'failed';
  readonly code: ErrorCode;
  readonly message: string;
}

export function headReady(head: ClusterDaemon, own: OwnAddress | null): HeadReady {
  const { instance, cluster, pid } = head.status();
  const { address, tcp, join } = head;
  const facts = { event: 'ready', address: tcp ?? address, instance, pid, cluster } as const;
  return join === null ? facts : { ...facts, join, interface: own?.interface ?? null };
}

export function agentReady(agent: AgentDaemon): AgentReady {
  const { address, instance, pid, node } = agent.status();
  return { event: 'ready', address, instance, pid, node: node.id, nodeAddress: node.address };
}

/** @param secrets whether the token may be shown: not where the output becomes a log */
export function show(ready: ReadyMessage, { stdout }: CliIo, secrets: boolean): void {
  const { instance, pid, address } = ready;
  if ('node' in ready) {
    stdout.write(
      `agent ${instance} ready, pid ${pid}: node ${ready.node} (${ready.nodeAddress}) of the head at ${address}\n`,
    );
    stdout.write('see `twinkle-node status`, end it with `twinkle-node stop`\n');
    return;
  }
  stdout.write(`head ${instance} ready, pid ${pid}, ${address}${whence(ready)}\n`);
  if (ready.join !== undefined) {
    stdout.write(
      secrets
        ? `another box joins by this line:\n  ${ready.join}\n`
        : 'another box joins by the line that `twinkle-node token` prints\n',
    );
  }
  stdout.write(
    'servers on this box join it by themselves; see `twinkle-node status`, end it with `twinkle-node stop`\n',
  );
}

function whence({ interface: name, address }: HeadReady): string {
  if (typeof name === 'string') return ` (${name}, which has the default route; --node-ip-address takes another)`;
  return address.startsWith('127.') ? ' (this box only; --node-ip-address takes another)' : '';
}
