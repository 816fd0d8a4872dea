/** Turns of one model: its replicas as one side of them, and the gate that keeps requests from those that sleep. Wiring only. */
import type { Logger } from '../observability/logger.js';
import type { OpenReplica } from '../serving/broadcast.js';
import type { ModelService } from '../serving/model-service.js';
import type { OperatorOrders } from '../serving/operator-orders.js';
import type { PreparedGang, Upkeep } from '../serving/prepared-gang.js';
import { ReplicaSleep } from '../serving/replica-sleep.js';
import type { DeviceTurn } from '../serving/types.js';
import { DeviceTurns } from './device-turns.js';
import type { PlacedGang } from './placed-gang.js';

export interface ModelTurnsParts {
  readonly placed: readonly PlacedGang[];
  /** Of the replicas, by gang. */
  readonly ids: readonly string[];
  readonly log: Logger;
  readonly orders: OperatorOrders;
  /** Null before it is there. */
  service(): ModelService | null;
  gangs(): readonly PreparedGang[];
}

export interface ModelTurns {
  readonly turns: DeviceTurns;
  /** Closes replicas while it is not their turn. */
  readonly gate: Upkeep;
  /** By place, those that are loaded. */
  engines(): readonly (OpenReplica | null)[];
  /** Why requests wait; null: for no turn. */
  paused(): string | null;
  turn(): DeviceTurn;
}

/** For each model whose replicas sleep while it is trained. */
export function modelTurns({ gangs, ids, log, orders, placed, service }: ModelTurnsParts): ModelTurns {
  const engines = (): readonly (OpenReplica | null)[] =>
    placed.map(({ epoch, lead }, at) => (lead === null ? null : { id: ids[at] ?? '', epoch, lead }));
  const loaded = (): readonly OpenReplica[] => engines().filter((one) => one !== null);
  const sleep = new ReplicaSleep({
    engines: loaded,
    held: () => orders.asleep,
    woken: (replica) => orders.woken(replica),
    failed: ({ epoch, id }, reason) => {
      const gang = placed[ids.indexOf(id)]?.gang;
      if (gang?.epoch === epoch) gang.fail(reason);
    },
  });
  /** Ready, and being told what its fellows know. */
  const opening = (): number => gangs().filter(({ inner, lead }) => inner.lead !== null && lead === null).length;
  const turns: DeviceTurns = new DeviceTurns({
    nowMs: () => performance.now(),
    sides: {
      requests: () => {
        const { running = 0, waiting = 0 } = service() ?? {};
        // While the operator has it sleep or pause, nobody is served by waking it, and nothing that runs ends.
        if (orders.held !== null) return { running: 0, waiting: 0 };
        return { running: running + (turns.phase === 'sampling' ? opening() : 0), waiting };
      },
      loading: (asleep) => placed.some(isLoading) || (asleep && sleep.awake),
      open: () => loaded().length === 0 || gangs().some(({ lead }) => lead !== null),
      shut: () => {
        for (const gang of gangs()) void gang.lead; // looking closes it
      },
      sleep: () => sleep.sleep(),
      wake: () => sleep.wake(),
      changed: (phase) => log.debug({ model: service()?.names[0], phase }, 'device_turn'),
    },
  });
  for (const { gang } of placed) gang.events.on('change', () => turns.look());
  const open = (): boolean => turns.phase === 'sampling';
  return {
    turns,
    gate: { settled: open, settle: () => turns.whenOpen(), outdated: () => !open() },
    engines,
    turn: () => {
      const { phase, since, waitingToSample, waitingToTrain } = turns;
      const holder = phase === 'sampling' || phase === 'training' ? phase : 'changing';
      const requests = holder === 'sampling' ? 0 : (service()?.waiting ?? 0);
      return { holder, since, waiting: { sampling: waitingToSample + requests, training: waitingToTrain } };
    },
    paused: () => (open() ? null : 'it is trained now, and its replicas sleep until that has had its turn'),
  };
}

/** Whether it is on its way to where it takes memory. */
function isLoading({ placed, state }: PlacedGang): boolean {
  if (!placed) return false;
  return state.at === 'starting' || state.at === 'backoff' || (state.at === 'teardown' && state.next === 'restart');
}
