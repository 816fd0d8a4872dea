/** A head and its agents, each a process of its own as Ray's are, and this process as their client. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RemoteCluster } from '../../../dist/cluster/remote-cluster.js';
import { hello, NODES } from './nodes.mjs';
import { session } from './session.mjs';

const script = (name) => fileURLToPath(new URL(`./${name}.mjs`, import.meta.url));

async function start(name, ...args) {
  const child = fork(script(name), args);
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`${name} ended with ${code} before it was ready`);
  });
  const [message] = await Promise.race([once(child, 'message'), ended]);
  ended.catch(() => {});
  return { child, message };
}

/** `startedMs`: from nothing until all nodes are there. */
export async function startProcesses() {
  const home = mkdtempSync(join(tmpdir(), 'twinkle-bench-'));
  const begun = performance.now();
  const head = await start('head', home);
  const agents = await Promise.all(
    Array.from({ length: NODES }, (_, index) => start('agent', head.message, JSON.stringify(hello(index)))),
  );
  const cluster = await RemoteCluster.join({ address: head.message, session: session(), timeoutMs: 10_000 });
  const { nodes } = await cluster.snapshot();
  if (nodes.length !== NODES) throw new Error(`${nodes.length} of ${NODES} nodes joined`);
  const startedMs = performance.now() - begun;
  const children = [head, ...agents].map(({ child }) => child);
  return {
    cluster,
    startedMs,
    pids: children.map(({ pid }) => pid),
    async stop() {
      await cluster[Symbol.asyncDispose]();
      for (const child of children.reverse()) {
        const exit = once(child, 'exit');
        child.disconnect();
        await exit;
      }
      rmSync(home, { recursive: true, force: true });
    },
  };
}
