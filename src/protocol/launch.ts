/**
 * What a rank is told before its first frame, and what Node and the template process say to each other.
 * The launch document travels in `TWINKLE_LAUNCH` (own interpreter) or in a fork request (template).
 */
import { type Static, Type } from './type.js';

const Int = Type.Integer();
const Str = Type.String();

export const CurveCredentials = Type.Object(
  {
    server_key: Type.String({ description: 'public key of the hub, Z85' }),
    public_key: Type.String({ description: 'key that the hub admits, Z85' }),
    secret_key: Type.String({ description: 'its secret half, Z85' }),
  },
  {
    $id: 'CurveCredentials',
    description: 'With what a rank joins a hub over tcp: encrypted, and nobody else gets in.',
  },
);
export type CurveCredentials = Static<typeof CurveCredentials>;

export const LaunchSpec = Type.Object(
  {
    instance: Type.String({ description: 'id of the Node process that owns the rank' }),
    gang: Str,
    epoch: Int,
    rank: Int,
    local_rank: Int,
    world_size: Type.Integer({ description: 'ranks of the gang; an engine process of its own is not one of them' }),
    role: Type.String({
      description:
        'whole: engine and rank in one process; engine: without a rank, `rank` is world_size; rank: driven by the engine process',
    }),
    endpoint: Type.String({ description: 'ZeroMQ address to connect to' }),
    curve: Type.Union([CurveCredentials, Type.Null()], {
      description: 'null over ipc, where the folder’s mode guards',
    }),
    identity: Type.String({ description: 'ZeroMQ routing id of this rank in this epoch: random, so that no two meet' }),
    engine: Type.String({ description: 'mock | transformers | …' }),
    env: Type.Record(Str, Str, { description: 'environment of the rank, over the inherited one' }),
    death_fd: Type.Integer({ description: 'read end of the death pipe: end of file means that Node is gone' }),
    pass_fd: Type.Integer({ description: 'socket over which descriptors of shared segments arrive' }),
    listen_fd: Type.Integer({ description: 'bound and listening socket for the rendezvous of rank 0, else -1' }),
    link_fds: Type.Array(Int, {
      description:
        'sockets between the engine process and its ranks: of the engine one per rank, of a rank one, else none',
    }),
    master_addr: Str,
    master_port: Type.Integer({ description: '0 when the gang has one rank' }),
  },
  { $id: 'LaunchSpec', description: 'Everything a rank needs to know before it connects.' },
);
export type LaunchSpec = Static<typeof LaunchSpec>;

export const ForkRequest = Type.Object(
  {
    id: Int,
    launch: LaunchSpec,
    fds: Type.Array(Str, {
      description: 'meaning of the descriptors sent along: death | pass | listen | stdout | stderr | link (several)',
    }),
  },
  {
    $id: 'ForkRequest',
    description: 'Node → template: fork a rank. Descriptors come as SCM_RIGHTS with the same message.',
  },
);
export type ForkRequest = Static<typeof ForkRequest>;

export const TemplateMessage = Type.Object(
  {
    kind: Type.String({ description: 'ready | forked | exit | failed' }),
    id: Type.Integer({ description: 'of the fork request; -1 for ready' }),
    pid: Int,
    code: Type.Union([Int, Type.Null()], { description: 'exit code, null when a signal ended it' }),
    signal: Type.Union([Int, Type.Null()]),
    max_rss_kb: Int,
    cpu_ms: Int,
    detail: Str,
  },
  { $id: 'TemplateMessage', description: 'Template → Node, one JSON line each.' },
);
export type TemplateMessage = Static<typeof TemplateMessage>;
