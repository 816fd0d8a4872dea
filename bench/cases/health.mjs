/** The health route against a bare fastify that answers an empty 200: what our hooks and routes cost. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { load, median } from '../lib/load.mjs';
import { startServer } from '../lib/server.mjs';

export async function* rows() {
  const bare = fork(fileURLToPath(new URL('../lib/bare-fastify.mjs', import.meta.url)));
  const [{ port }] = await once(bare, 'message');
  const server = await startServer(['--engine', 'mock']);
  try {
    const ask = (at) => () => load({ port: at, connections: 16, durationMs: 3000, path: '/health' });
    const peer = await median(3, 'requestsPerSecond', ask(port));
    const ours = await median(3, 'requestsPerSecond', ask(server.port));
    yield {
      what: 'health route, 16 connections',
      unit: 'req/s',
      ours: ours.requestsPerSecond,
      peer: peer.requestsPerSecond,
      peerName: 'bare fastify',
      target: 25_000,
    };
  } finally {
    await server.stop();
    bare.kill();
  }
}
