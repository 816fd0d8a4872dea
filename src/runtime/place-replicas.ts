/**
 * Keeps the ranks of one placement group where the group is: makes the group, starts its replicas when it has its places, ends and starts
 * them again when it moves, and ends them when it is removed. Knows nothing of how places are found.
 */
import type { Cluster, Group, GroupStatus } from '../cluster/api.js';
import type { DeviceChoice } from '../config/types.js';
import type { GroupPlan } from '../engines/placement.js';
import { seatRanks } from '../engines/rank-seats.js';
import { asTwinkleError, TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import { NODE_ID_LABEL } from '../scheduler/labels.js';
import type { RankPlace } from '../supervisor/rank-environment.js';
import type { PlacedGang } from './placed-gang.js';
import { describeWait, placesOf, unplaceable } from './placement-words.js';

/** Where places come from. */
export interface PlacementSource {
  readonly cluster: Cluster;
  /** Nobody else makes groups there: what finds no room now never will. */
  readonly sole: boolean;
  /** Ids of the nodes that are this machine: ranks start nowhere else. Null: every node is. */
  readonly nodes: ReadonlySet<string> | null;
  /** Devices of this machine as the vendor counts them. */
  readonly devices: readonly DeviceChoice[];
  /** Why other devices are not offered: for refusals. */
  readonly leftOut: readonly string[];
}

/** Who gives places out, for a status; before anybody is known it is this process. */
export function membershipOf(source: PlacementSource | null): {
  readonly kind: 'own' | 'head';
  readonly connected: boolean;
} {
  const { kind = 'own', connected = true } = source?.cluster ?? {};
  return { kind, connected };
}

/** What the keeper of a group tells. */
export interface PlacementNews {
  /** It waits, and why. */
  waiting(detail: string, sinceMs: number): void;
  /** A place was lost and the ranks are ended. */
  moved(reason: string): void;
  /** Serving sees its replicas differently now. */
  changed(): void;
}

export interface KeeperContext {
  readonly source: PlacementSource;
  readonly namespace: string;
  readonly news: PlacementNews;
  readonly log: Logger;
  /** Wait for room also where none is foreseen: others may leave. Default: that is a failure. */
  readonly patient?: boolean;
  nowMs(): number;
}

export class GroupKeeper {
  /** Why its replicas cannot run; null while they can or may. */
  failure: TwinkleError | null = null;
  #group: Group | null = null;
  #unsubscribe: () => void = () => {};
  #opening: Promise<void> | null = null;
  #settling: Promise<void> | null = null;
  #again = false;
  #halted = false;
  /** The places that the ranks run in, as text; null: they do not. */
  #running: string | null = null;
  #wasPlaced = false;
  #said = '';
  #sinceMs = 0;

  /** @param gangs by the plan's replicas */
  constructor(
    readonly plan: GroupPlan,
    readonly gangs: readonly PlacedGang[],
    readonly context: KeeperContext,
  ) {}

  /** Make the group and keep to it from now on. Says by `failure` and news what goes wrong. */
  open(): Promise<void> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  /** Start no rank any more. The ranks that run are the caller's business, and then {@link release}. */
  halt(): void {
    this.#halted = true;
    this.#unsubscribe();
  }

  /** Remove the group. To be called when its ranks are gone. */
  async release(): Promise<void> {
    this.halt();
    await this.#opening;
    await this.#settling;
    try {
      await this.#group?.remove();
    } catch (thrown) {
      // Without its head the group ends with our session.
      const { code, message } = asTwinkleError(thrown);
      this.context.log.warn({ group: this.plan.name, code, message }, 'group_not_removed');
    }
  }

  async #open(): Promise<void> {
    const { plan, context } = this;
    this.#sinceMs = context.nowMs();
    const { cluster } = context.source;
    let returned = false;
    const stopWatching = cluster.onConnection((connected) => {
      returned ||= connected;
    });
    try {
      const group = await cluster.createGroup({
        name: plan.name,
        namespace: context.namespace,
        lifetime: 'owner',
        strategy: plan.strategy,
        domainLabel: null,
        bundles: plan.bundles,
        selectors: selectorsOf(context.source.nodes, plan.bundles.length),
        softTarget: null,
        tensorParallel: plan.tensorParallel,
        hold: 'serving',
        task: null,
      });
      this.#group = group;
      for (const gang of this.gangs) gang.group = group.id;
      if (this.#halted) return;
      this.#unsubscribe = group.onChange(() => this.#wake());
      this.#wake();
    } catch (thrown) {
      const error = asTwinkleError(thrown);
      if (error.code === 'HEAD_UNREACHABLE' && cluster.kind === 'head') this.#awaitHead(returned);
      else await this.#fail(error);
    } finally {
      stopWatching();
    }
  }

  /** Ask again when there is somebody to ask. @param returned the head came back while it was asked */
  #awaitHead(returned: boolean): void {
    if (this.#halted) return;
    const { source, news } = this.context;
    const again = (): void => {
      this.#unsubscribe();
      this.#opening = this.#open();
    };
    this.#unsubscribe = source.cluster.onConnection((connected) => {
      if (connected) again();
    });
    news.waiting('the head does not answer', this.#sinceMs);
    if (returned) again();
  }

  /** One at a time: whatever changes meanwhile is looked at afterwards, and only as it is then. */
  #wake(): void {
    this.#again = true;
    this.#settling ??= this.#settle().finally(() => {
      this.#settling = null;
      if (this.#again && !this.#halted) this.#wake();
    });
  }

  async #settle(): Promise<void> {
    while (this.#again && !this.#halted && this.#group !== null) {
      this.#again = false;
      try {
        await this.#follow(this.#group.status);
      } catch (thrown) {
        await this.#fail(asTwinkleError(thrown));
      }
    }
  }

  async #follow(status: GroupStatus): Promise<void> {
    const { state, scheduling, reason, position } = status;
    this.context.log.info({ group: this.plan.name, id: status.id, state, scheduling, reason, position }, 'group_state');
    if (state === 'CREATED') return await this.#settleDown(status);
    if (state === 'REMOVED' && reason !== null && this.context.source.cluster.kind === 'head') {
      return await this.#replace(reason);
    }
    if (state === 'REMOVED') {
      return await this.#fail(new TwinkleError('GROUP_REMOVED', `placement group ${this.plan.name} was removed`));
    }
    if (this.#running !== null) await this.#leave(`placement group ${this.plan.name} lost a place`);
    if (this.#hopeless(status)) return await this.#refuse(status);
    this.#sayWaiting(status);
  }

  async #settleDown(status: GroupStatus): Promise<void> {
    const { source, news } = this.context;
    const seats = status.bundles.map(({ node, devices }) => ({ node: node ?? '', devices }));
    const away = seats.find(({ node }) => source.nodes !== null && !source.nodes.has(node));
    if (away !== undefined) {
      return await this.#fail(
        new TwinkleError(
          'INFEASIBLE',
          `placement group ${this.plan.name} got a place on node ${away.node}, which is another machine; ` +
            'ranks start on the machine of their server: make the group fit there, or start the server there',
        ),
      );
    }
    const places = seatRanks(this.plan, seats).map((ranks) => placesOf(ranks, source.devices));
    const text = JSON.stringify(places);
    if (text === this.#running) return;
    if (this.#running !== null) await this.#leave(`placement group ${this.plan.name} moved`);
    if (this.#halted || this.#again) return; // it has changed meanwhile
    this.#running = text;
    this.#wasPlaced = true;
    this.#said = '';
    this.gangs.forEach((gang, replica) => {
      gang.run(places[replica] as RankPlace[]);
    });
    news.changed();
  }

  /** Nobody removed it: its lease ended while the head was away, or the head has lost it. Make another one. */
  async #replace(reason: string): Promise<void> {
    this.#unsubscribe();
    if (this.#running !== null) await this.#leave(reason);
    await this.#group?.remove(); // only now: its ranks are gone
    this.#group = null;
    if (!this.#halted) this.#opening = this.#open();
  }

  async #leave(reason: string): Promise<void> {
    this.#running = null;
    this.#sinceMs = this.context.nowMs();
    this.context.news.moved(reason);
    const left = this.gangs.map((gang) => gang.leave(reason));
    this.context.news.changed();
    await Promise.all(left);
  }

  /** Where this server is alone, nobody will make room; in a ledger of this process no node will join. */
  #hopeless({ scheduling }: GroupStatus): boolean {
    const { cluster, sole } = this.context.source;
    if (this.#wasPlaced || cluster.kind !== 'own' || this.context.patient === true) return false;
    return scheduling === 'INFEASIBLE' || (sole && scheduling === 'NO_RESOURCES');
  }

  async #refuse(status: GroupStatus): Promise<void> {
    const nodes = (await this.#group?.explain()) ?? [];
    const { leftOut } = this.context.source;
    await this.#fail(unplaceable(this.plan, { reason: status.reason, nodes, leftOut }));
  }

  async #fail(error: TwinkleError): Promise<void> {
    if (this.#halted || this.failure !== null) return;
    this.failure = error;
    this.#running = null;
    const lost = this.gangs.map((gang) => gang.lose(error));
    this.context.news.changed();
    await Promise.all(lost);
  }

  #sayWaiting(status: GroupStatus): void {
    const detail = describeWait(this.plan, status);
    if (detail === this.#said) return;
    this.#said = detail;
    this.context.news.waiting(detail, this.#sinceMs);
  }
}

/** Ranks start on this machine only, so their bundles are looked for nowhere else. */
function selectorsOf(nodes: PlacementSource['nodes'], bundles: number): readonly Record<string, string>[] | null {
  if (nodes === null || nodes.size === 0) return null;
  const here = { [NODE_ID_LABEL]: nodes.size === 1 ? [...nodes].join() : `in(${[...nodes].join(',')})` };
  return Array.from({ length: bundles }, () => here);
}
