/** The peer of `--engine vllm`: `vllm serve` of the same environment, and vLLM in process. Both are ended by their process group. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** What both sides are told on CPUs. */
export const ARGS = ['--dtype', 'float32', '--max-model-len', '512', '--max-num-seqs', '64', '--enforce-eager'];
export const KV_ARGS = ['--kv-cache-memory-bytes', String(1 << 26)];

const ENV = {
  ...process.env,
  VLLM_NO_USAGE_STATS: '1',
  DO_NOT_TRACK: '1',
  HF_HUB_OFFLINE: '1',
  VLLM_HOST_IP: '127.0.0.1',
  GLOO_SOCKET_IFNAME: 'lo',
};
/** As our engine starts it there: without this the first request waits for compilers. */
const ON_CPU = { TORCHDYNAMO_DISABLE: '1' };

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * @param args beside the name and the address
 * @param variables beside those that keep it at home; default: those of CPUs
 * @returns `{ port, pid, readyMs, stop }`
 */
export async function startVllmServe(python, model, args = [...ARGS, ...KV_ARGS], variables = ON_CPU) {
  const port = await freePort();
  const begun = performance.now();
  const words = ['-m', 'vllm.entrypoints.cli.main', 'serve', model, '--host', '127.0.0.1', '--port', String(port)];
  const child = spawn(python, [...words, '--served-model-name', 'demo', ...args], {
    env: { ...ENV, ...variables },
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const said = [];
  child.stderr.on('data', (chunk) => said.push(chunk));
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGINT');
      const late = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), 20_000);
      await once(child, 'exit');
      clearTimeout(late);
    }
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // nothing is left of it
    }
  };
  for (;;) {
    if (child.exitCode !== null) throw new Error(`vllm serve ended:\n${Buffer.concat(said).toString().slice(-3000)}`);
    const healthy = await fetch(`http://127.0.0.1:${port}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (healthy) return { port, pid: child.pid, readyMs: performance.now() - begun, stop };
    await sleep(50);
  }
}

/**
 * The engine in a process of its own with no server around it (bench/peers/vllm/bare.py), as users start it on CPUs.
 * @returns `{ round, stop }`; `round()` measures once
 */
export async function startBare(python, model, sequences, tokens) {
  const path = fileURLToPath(new URL('../peers/vllm/bare.py', import.meta.url));
  const env = { ...ENV, ...ON_CPU, VLLM_ENABLE_V1_MULTIPROCESSING: '0' };
  const child = spawn(python, [path, model, String(sequences), String(tokens)], {
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const said = [];
  child.stderr.on('data', (chunk) => said.push(chunk));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const until = async (prefix) => {
    for (let next = await lines.next(); !next.done; next = await lines.next()) {
      if (next.value.startsWith(prefix)) return next.value.slice(prefix.length);
    }
    throw new Error(`bare.py ended:\n${Buffer.concat(said).toString().slice(-3000)}`);
  };
  await until('ready');
  return {
    async round() {
      child.stdin.write('\n');
      return JSON.parse(await until('figures:'));
    },
    async stop() {
      child.stdin.end();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}
