/** Placing groups on large simulated clusters: the cost of one placement as nodes grow ten times, and what it holds in memory. */
import { ClusterState } from '../../dist/scheduler/cluster-state.js';
import { placeGroup } from '../../dist/scheduler/place-group.js';
import { toResources } from '../../dist/scheduler/resources.js';
import { quantile } from '../lib/load.mjs';

const GIB = 2 ** 30;
const GROUPS = 50_000;
const STRATEGIES = ['PACK', 'PACK', 'SPREAD', 'STRICT_PACK', 'STRICT_SPREAD'];

/** The same numbers in every run. */
function generator(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function links() {
  const pairs = [];
  for (let a = 0; a < 8; a++) {
    for (let b = a + 1; b < 8; b++) {
      const island = a < 4 === b < 4;
      pairs.push({ a, b, kind: island ? 'nvlink' : 'sys', lanes: island ? 12 : 0 });
    }
  }
  return pairs;
}

/** @param mixed every node has another amount of memory, as boxes do that report what their kernel left */
function cluster(nodes, mixed) {
  const state = new ClusterState();
  const numa = [0, 0, 0, 0, 1, 1, 1, 1];
  for (let node = 0; node < nodes; node++) {
    const memory = 1024 * GIB + (mixed ? ((node * 7919) % nodes) * 65_536 : 0);
    const ids = numa.map((_, device) => `GPU-${node}-${device}`);
    state.addNode({
      id: `node-${node}`,
      total: toResources({ CPU: 96, GPU: 8, memory, 'accelerator_type:H100': 1 }),
      labels: new Map([
        ['ray.io/accelerator-type', 'H100'],
        ['zone', `z${node % 4}`],
      ]),
      devices: new Map([['GPU', { ids, numa, links: links() }]]),
    });
  }
  return state;
}

function request(random) {
  const bundle = [
    { GPU: 1 },
    { GPU: 1, CPU: 1 + random(4) },
    { GPU: 1, CPU: 2, memory: (1 + random(32)) * GIB },
    { GPU: 2, 'accelerator_type:H100': 0.001 },
    { GPU: 0.5, CPU: 1 },
    { CPU: 1 + random(8), memory: (1 + random(64)) * GIB },
  ][random(6)];
  const strategy = STRATEGIES[random(STRATEGIES.length)];
  const count = strategy === 'STRICT_PACK' ? 1 + random(4) : 1 + random(8);
  const bundles = Array.from({ length: count }, (_, index) =>
    toResources(index === 0 ? { ...bundle, CPU: (bundle.CPU ?? 0) + 1 } : bundle),
  );
  const zone = random(8) === 0 ? [{ key: 'zone', not: false, values: [`z${random(4)}`] }] : null;
  return {
    strategy,
    bundles,
    selectors: zone === null ? null : bundles.map(() => zone),
    softTarget: null,
    domain: null,
    occupied: new Set(),
    tensorParallel: random(3) === 0 ? 2 : 1,
  };
}

/** Keeps the cluster about full: a group goes for each that comes once nothing fits any more. */
function run(nodes, mixed) {
  const state = cluster(nodes, mixed);
  const random = generator(nodes);
  const held = [];
  const times = [];
  let placed = 0;
  let most = 0;
  const remove = () => {
    const at = random(held.length);
    const gone = held[at];
    held[at] = held[held.length - 1];
    held.pop();
    for (const { node, grant } of gone) state.giveBack(node, grant);
  };
  for (let group = 0; group < GROUPS; group++) {
    const wanted = request(random);
    const started = performance.now();
    const placement = placeGroup(state, wanted);
    times.push(performance.now() - started);
    if (placement.outcome === 'placed') {
      placed += 1;
      for (const { node, grant } of placement.bundles) {
        if (!state.claim(node, grant)) throw new Error(`${node} does not have what was granted`);
      }
      held.push(placement.bundles);
    }
    // More than a cluster holds would only measure refusals; much less would only measure empty nodes.
    if (held.length > nodes * 1.2 || placement.outcome !== 'placed') remove();
    if (group % 1000 === 0) most = Math.max(most, process.memoryUsage.rss());
  }
  return { times, placed, most, held: held.length };
}

export async function* rows() {
  const p50 = {};
  for (const [mixed, kind] of [
    [false, 'equal nodes'],
    [true, 'each with other memory'],
  ]) {
    for (const nodes of [1000, 10_000]) {
      const { times, placed, most, held } = run(nodes, mixed);
      p50[nodes] = quantile(times, 0.5);
      const what = `${nodes.toLocaleString('en')} nodes × 8 GPUs, ${kind}`;
      yield {
        what: `p99 of a placement: ${what}`,
        unit: 'ms',
        ours: quantile(times, 0.99),
        lowerIsBetter: true,
        note:
          `p50 ${p50[nodes].toFixed(3)} ms, slowest ${Math.max(...times).toFixed(1)} ms (an index is made); ` +
          `${GROUPS.toLocaleString('en')} groups of 1–8 bundles, ${placed.toLocaleString('en')} placed, ${held.toLocaleString('en')} held at the end`,
        ...(nodes === 10_000 ? { target: 5 } : {}),
      };
      if (nodes === 10_000) {
        yield {
          what: `resident memory at its highest: ${what}`,
          unit: 'GB',
          ours: most / 1e9,
          lowerIsBetter: true,
          target: 1.5,
        };
      }
    }
    yield {
      what: `median placement, 10,000 nodes over 1,000: ${kind}`,
      unit: '×',
      ours: p50[10_000] / p50[1000],
      lowerIsBetter: true,
    };
  }
}
