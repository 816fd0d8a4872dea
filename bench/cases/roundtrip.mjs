/** One call to a rank and its answer, against the floor: the same sockets and libraries with nothing of ours around them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Router } from 'zeromq';
import { startGang } from '../lib/gang.mjs';
import { quantile } from '../lib/load.mjs';
import { enginePython } from '../lib/python.mjs';

const ROUNDS = 5000;
const ECHO = `
import sys, zmq
socket = zmq.Context().socket(zmq.DEALER)
socket.connect(sys.argv[1])
socket.send(b"hello")
while True:
    socket.send(socket.recv())
`;

async function time(call) {
  for (let warm = 0; warm < 500; warm++) await call(warm);
  const micros = [];
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now();
    await call(round);
    micros.push((performance.now() - started) * 1000);
  }
  return micros;
}

async function floor() {
  const folder = mkdtempSync(join(tmpdir(), 'twinkle-bench-'));
  const router = new Router({ linger: 0 });
  await router.bind(`ipc://${join(folder, 'echo')}`);
  const child = spawn(await enginePython('mock'), ['-c', ECHO, router.lastEndpoint], { stdio: 'inherit' });
  const [identity] = await router.receive();
  const body = Buffer.alloc(40);
  const micros = await time(async () => {
    await router.send([identity, body]);
    await router.receive();
  });
  child.kill('SIGKILL');
  await once(child, 'exit');
  router.close();
  rmSync(folder, { recursive: true, force: true });
  return micros;
}

export async function* rows() {
  const peer = await floor();
  const { gang, stop } = await startGang();
  const ours = await time((value) => gang.lead.call('echo', value));
  await stop();
  yield {
    what: 'Node ↔ rank round trip, p50',
    unit: 'µs',
    ours: quantile(ours, 0.5),
    peer: quantile(peer, 0.5),
    peerName: 'bare zeromq.js ↔ pyzmq',
    target: 120,
    lowerIsBetter: true,
  };
  yield {
    what: 'Node ↔ rank round trip, p99',
    unit: 'µs',
    ours: quantile(ours, 0.99),
    peer: quantile(peer, 0.99),
    peerName: 'bare zeromq.js ↔ pyzmq',
    lowerIsBetter: true,
  };
}
