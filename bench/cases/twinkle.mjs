/**
 * Beside the Twinkle server, in one run: each serves the same file (mock backends, four applications) alone on the machine, ours first, and is asked
 * by the same clients. Then both again with persistence in a file and thousands of kept futures.
 */
import { ask, figures } from '../lib/twinkle/figures.mjs';
import { peerPython, startOurs, startPeer } from '../lib/twinkle/servers.mjs';

const KEPT = 4000;
const peerName = 'Twinkle server 0.5.1 on Ray 2.60.0, mock backends';
const TRAIN = { kind: 'forward_backward', concurrent: 1, rounds: 1, durationMs: 0 };

/** What `use` makes of a server, which is stopped however that ends. */
async function during(starting, use) {
  const server = await starting;
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}

/** Ours keeps what it answered, whatever the file says. */
function oursWithKept() {
  return during(startOurs({ file: true }), async ({ port }) => {
    await ask({ ...TRAIN, port, concurrent: 16, atLeast: KEPT });
    return await ask({ ...TRAIN, port, atLeast: 200 });
  });
}

/** The peer would take an hour to keep as many: one that it made itself is copied in its state file. */
function peerWithKept(python) {
  return during(startPeer(python, { file: true }), async ({ keep, port, startedS }) => {
    await ask({ ...TRAIN, port, atLeast: 1 });
    keep(KEPT);
    return { startedS, ...(await ask({ ...TRAIN, port, atLeast: 20 })) };
  });
}

const rate = (what, ours, peer, times, key = 'perSecond') => {
  const target = times === null ? {} : { target: times * peer[key] };
  const ms = (value) => (value < 100 ? value.toPrecision(3) : Math.round(value));
  const quantiles = ({ p50Ms, p99Ms }) => `p50 ${ms(p50Ms)} ms, p99 ${ms(p99Ms)} ms`;
  const note = `ours: ${quantiles(ours)}; the peer: ${quantiles(peer)}`;
  return { what, unit: 'per s', ours: ours[key], peer: peer[key], peerName, ...target, note };
};

const atMost = (what, unit, ours, peer, target, note) => ({
  ...{ what, unit, ours, peer, peerName, target, lowerIsBetter: true, note },
});

export async function* rows() {
  const python = peerPython();
  const ours = await during(startOurs(), (server) => figures(server, python));
  const oursKept = await oursWithKept();
  const peer = await during(startPeer(python), (server) => figures(server, python));
  const silent = ours.missing.map(
    (name) => `; ours accepts the application \`${name}\` and does not answer for it yet`,
  );
  const peerKept = await peerWithKept(python);
  yield atMost(
    'nothing → four applications answer',
    's',
    ours.startedS,
    Math.min(peer.startedS, peerKept.startedS),
    3,
    `the peer from \`ray start\`, the faster of two${silent.join('')}`,
  );
  for (const [connections, times] of [
    [1, null],
    [64, 100],
  ]) {
    const what = `GET health, ${connections} connection${connections === 1 ? '' : 's'}`;
    yield rate(what, ours.health[connections], peer.health[connections], times, 'requestsPerSecond');
  }
  for (const [concurrent, times] of [
    [1, 70],
    [16, null],
  ])
    yield rate(
      `Tinker forward_backward and its answer, ${concurrent} at a time`,
      ours.train[concurrent],
      peer.train[concurrent],
      times,
    );
  for (const [concurrent, times] of [
    [1, 50],
    [16, null],
  ])
    yield rate(
      `Tinker asample and its answer, ${concurrent} at a time`,
      ours.sample[concurrent],
      peer.sample[concurrent],
      times,
    );
  yield atMost(
    "forward_backward of Twinkle's own client, p50",
    'ms',
    ours.calls.p50Ms,
    peer.calls.p50Ms,
    peer.calls.p50Ms / 20,
    'the client included, which makes a connection for each call',
  );
  yield atMost(
    'idle: PSS of all processes',
    'MB',
    ours.idle.mb,
    peer.idle.mb,
    peer.idle.mb / 15,
    `ours: ${ours.idle.processes} processes; the peer: ${peer.idle.processes}`,
  );
  yield atMost(
    `forward_backward and its answer, ${KEPT.toLocaleString('en')} futures kept, p50`,
    'ms',
    oursKept.p50Ms,
    peerKept.p50Ms,
    peerKept.p50Ms / 1000,
    `${Math.round(peerKept.p50Ms / oursKept.p50Ms)} times; persistence: file; ours made them, the peer's are copies in its state file of one that it made; ours: ${oursKept.answers} calls, the peer: ${peerKept.answers}`,
  );
}
