import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GroupSpec, GroupView, Quantities, TaskPlacementSpec } from '../../../src/cluster/types.js';
import { helloToSpec } from '../../../src/cluster/wire.js';
import type { Strategy, TaskStrategy } from '../../../src/scheduler/types.js';
import {
  checkAgent,
  checkFencing,
  checkJournal,
  checkLedger,
  checkRefused,
  checkRest,
} from '../../support/cluster-invariants.js';
import { ClusterSimulation, type SimAgent } from '../../support/cluster-simulation.js';

/** More runs by hand: `SIM_RUNS=20000 SIM_SEED=7 npx vitest …`. */
const RUNS = Number(process.env.SIM_RUNS ?? 300);
const SEED = Number(process.env.SIM_SEED ?? 4);

const STATEFUL: GroupSpec = {
  name: '',
  namespace: 'default',
  lifetime: 'detached',
  strategy: 'PACK',
  domainLabel: null,
  bundles: [{ GPU: 1 }],
  selectors: null,
  softTarget: null,
  tensorParallel: 1,
  hold: 'stateful',
  task: null,
};

const bundle = fc.constantFrom<Quantities>({ GPU: 1 }, { GPU: 1, CPU: 1 }, { CPU: 2 }, { GPU: 0.5 }, { GPU: 2 });

const spec = fc
  .record({
    strategy: fc.constantFrom<Strategy>('PACK', 'SPREAD', 'STRICT_PACK', 'STRICT_SPREAD'),
    bundles: fc.oneof(
      { weight: 2, arbitrary: fc.array(bundle, { minLength: 1, maxLength: 4 }) },
      fc.tuple(bundle, fc.integer({ min: 1, max: 5 })).map(([one, times]) => new Array<Quantities>(times).fill(one)),
    ),
    hold: fc.constantFrom<GroupSpec['hold']>('serving', 'stateful'),
    lifetime: fc.constantFrom<GroupSpec['lifetime']>('owner', 'owner', 'detached'),
    domainLabel: fc.constantFrom<string | null>(null, null, null, 'rack'),
  })
  .map((some): GroupSpec => {
    return {
      ...some,
      name: '',
      namespace: 'default',
      selectors: null,
      softTarget: null,
      tensorParallel: 1,
      task: null,
    };
  });

/** `n9` is never there. */
const nodeId = fc.constantFrom('n0', 'n0', 'n1', 'n1', 'n2', 'n9');
const taskStrategy = fc.oneof(
  fc.constantFrom<TaskStrategy>({ kind: 'default' }, { kind: 'spread' }),
  fc
    .record({ node: nodeId, soft: fc.boolean(), otherwise: fc.boolean() })
    .map(({ node, soft, otherwise }): TaskStrategy => {
      const [spillOnUnavailable, failOnUnavailable] = soft ? [otherwise, false] : [false, otherwise];
      return { kind: 'node-affinity', node, soft, spillOnUnavailable, failOnUnavailable };
    }),
);
const rack = fc.constantFrom<Readonly<Record<string, string>>>({ rack: 'r0' }, { rack: 'r1' }, { rack: 'r7' });
const leaseSpec = fc
  .record({
    task: fc.record<TaskPlacementSpec>({
      strategy: taskStrategy,
      preferred: fc.option(nodeId, { nil: null }),
      fallbacks: fc.array(rack, { maxLength: 1 }),
      needs: fc.constantFrom<Quantities | null>(null, null, { CPU: 1 }),
    }),
    bundles: fc.oneof(bundle, fc.constantFrom<Quantities>({}, { CPU: 1 })).map((one) => [one]),
    selectors: fc.option(fc.tuple(rack), { nil: null, freq: 4 }),
    hold: fc.constantFrom<GroupSpec['hold']>('serving', 'stateful'),
    lifetime: fc.constantFrom<GroupSpec['lifetime']>('owner', 'owner', 'detached'),
  })
  .map((some): GroupSpec => ({ ...STATEFUL, ...some }));

const which = fc.nat(1000);
const op = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('create' as const), spec, owner: fc.constantFrom('a', 'b') }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('create' as const), spec: leaseSpec, owner: fc.constantFrom('a', 'b') }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('remove' as const), which }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 900 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('advance' as const),
      ms: fc.oneof(fc.integer({ min: 900, max: 4000 }), fc.integer({ min: 900, max: 12_000 })),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('kill' as const), which, seen: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('start' as const), which }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const), unwritten: fc.nat(3) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('start-head' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('cut' as const),
      which,
      toAgent: fc.boolean(),
      fromAgent: fc.boolean(),
      hangUp: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('stall' as const), which, ms: fc.integer({ min: 100, max: 5000 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('compact' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drain' as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('owner-gone' as const), owner: fc.constantFrom('a', 'b') }) },
);
type Op = typeof op extends fc.Arbitrary<infer T> ? T : never;

const plan = fc.record({
  seed: fc.nat(),
  totals: fc.array(fc.constantFrom<Quantities>({ GPU: 4, CPU: 8 }, { GPU: 2, CPU: 4 }, { CPU: 6 }), {
    minLength: 2,
    maxLength: 5,
  }),
  faults: fc.record({
    loss: fc.constantFrom(0, 0.05, 0.3),
    repeat: fc.constantFrom(0, 0.3),
    delayMs: fc.constantFrom(1, 30, 400),
  }),
  ops: fc.array(op, { minLength: 5, maxLength: 40 }),
});

function play(simulation: ClusterSimulation, one: Op): void {
  const agent = (at: number): SimAgent => simulation.agents[at % simulation.agents.length] as SimAgent;
  const { ledger } = simulation;
  switch (one.do) {
    case 'create':
      simulation.create(one.spec, one.owner);
      return;
    case 'remove': {
      const living = [...(ledger?.groups() ?? [])].filter(({ state }) => state !== 'REMOVED');
      const group = living[one.which % Math.max(1, living.length)];
      if (group !== undefined) ledger?.removeGroup(group.id);
      return;
    }
    case 'advance':
      simulation.advance(one.ms);
      return;
    case 'kill':
      simulation.kill(agent(one.which), one.seen);
      return;
    case 'start':
      simulation.startAgent(agent(one.which));
      return;
    case 'crash':
      simulation.crashHead(one.unwritten);
      return;
    case 'start-head':
      simulation.startHead();
      return;
    case 'cut':
      agent(one.which).cut = { toAgent: one.toAgent, fromAgent: one.fromAgent };
      if (one.hangUp) simulation.disconnect(agent(one.which));
      return;
    case 'stall':
      agent(one.which).stalledUntilMs = simulation.nowMs + one.ms;
      return;
    case 'compact':
      simulation.compact();
      return;
    case 'drain':
      ledger?.drainNode(agent(one.which).id);
      return;
    case 'owner-gone':
      ledger?.ownerGone(one.owner);
  }
}

/** One stateful group and misfortunes that only leases can tell apart: one-way cuts, stalls, heads that come and go. */
const fencingPlan = fc.record({
  seed: fc.nat(),
  faults: fc.record({
    loss: fc.constantFrom(0, 0.2),
    repeat: fc.constantFrom(0, 0.3),
    delayMs: fc.constantFrom(1, 100, 900),
  }),
  ops: fc.array(
    fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 100, max: 1500 }) }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant('cut' as const),
          which: fc.nat(1),
          toAgent: fc.boolean(),
          fromAgent: fc.boolean(),
          hangUp: fc.constant(false),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constant('stall' as const),
          which: fc.nat(1),
          ms: fc.integer({ min: 500, max: 4000 }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), unwritten: fc.nat(2) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('start-head' as const) }) },
    ),
    { minLength: 3, maxLength: 16 },
  ),
});

describe('ledger and agents under crashes and a bad network', () => {
  it('never holds a device twice, never runs a stateful bundle twice, and comes to rest', () => {
    let placed = 0;
    let leased = 0;
    let refused = 0;
    fc.assert(
      fc.property(plan, ({ seed, totals, faults, ops }) => {
        const simulation = new ClusterSimulation(seed, totals, faults);
        const specs = new Map(simulation.agents.map(({ id, facts }) => [id, helloToSpec(facts)]));
        simulation.onStep = (agent) => {
          if (agent === null) return;
          checkAgent(agent, specs.get(agent.id) as NonNullable<ReturnType<typeof specs.get>>);
          checkFencing(simulation);
        };
        simulation.onRefused = (lease, ledger) => {
          checkRefused(lease, ledger);
          refused += 1;
        };
        let checked = '';
        for (const one of ops) {
          play(simulation, one);
          const { ledger } = simulation;
          const version = `${ledger?.epoch} ${ledger?.version}`;
          if (ledger === null || version === checked) continue;
          checkLedger(ledger);
          checkJournal(simulation);
          checked = version;
        }
        simulation.heal();
        simulation.advance(12_000);
        if (simulation.ledger !== null) checkLedger(simulation.ledger);
        checkJournal(simulation);
        checkRest(simulation);
        const created = [...(simulation.ledger?.groups() ?? [])].filter(({ state }) => state === 'CREATED');
        const leases = created.filter(({ spec: { task } }: GroupView) => task !== null);
        leased += leases.length;
        placed += created.length - leases.length;
      }),
      { numRuns: RUNS, seed: SEED },
    );
    // The runs do place and refuse something.
    expect(placed).toBeGreaterThan(100);
    expect(leased).toBeGreaterThan(100);
    expect(refused).toBeGreaterThan(30);
  });

  it('never runs a stateful bundle twice, whoever hears whom', () => {
    let moved = 0;
    fc.assert(
      fc.property(fencingPlan, ({ seed, faults, ops }) => {
        const simulation = new ClusterSimulation(seed, [{ GPU: 1 }, { GPU: 1 }], faults);
        simulation.create(STATEFUL, null);
        simulation.advance(1000);
        simulation.onStep = () => checkFencing(simulation);
        for (const one of ops) play(simulation, one);
        simulation.heal();
        simulation.advance(12_000);
        checkRest(simulation);
        if (simulation.journal.some(({ r }) => r === 'lost')) moved += 1;
      }),
      { numRuns: RUNS, seed: SEED },
    );
    expect(moved).toBeGreaterThan(RUNS / 10);
  });
});
