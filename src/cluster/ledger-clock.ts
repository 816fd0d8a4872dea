/** What the passing of time does to a ledger: renewals, silence, and messages that are sent again. Decides when it wants to be woken. */
import type { LedgerClaims } from './ledger-claims.js';
import type { LedgerCore } from './ledger-core.js';
import type { LedgerMembership } from './ledger-membership.js';
import type { NodeRecord } from './ledger-model.js';
import type { LedgerNodes } from './ledger-nodes.js';
import type { LedgerPlacing } from './ledger-placing.js';
import type { LedgerReports } from './ledger-reports.js';

export interface ClockedParts {
  readonly core: LedgerCore;
  readonly nodes: LedgerNodes;
  readonly claims: LedgerClaims;
  readonly placing: LedgerPlacing;
  readonly reports: LedgerReports;
  readonly membership: LedgerMembership;
}

export class LedgerClock {
  readonly #parts: ClockedParts;
  #heartbeatAtMs: number;
  #tickedAtMs: number;

  constructor(parts: ClockedParts) {
    this.#parts = parts;
    this.#tickedAtMs = parts.core.env.nowMs();
    this.#heartbeatAtMs = this.#tickedAtMs;
  }

  /** When {@link tick} has something to do again; null: never, unless something happens. */
  get nextWakeMs(): number | null {
    const { claims, nodes, placing } = this.#parts;
    const wakes: number[] = [];
    if (nodes.size > 0) wakes.push(this.#heartbeatAtMs);
    for (const wake of [claims.nextResendMs, placing.nextDeadlineMs]) if (wake !== null) wakes.push(wake);
    for (const { refusal } of nodes.refusing()) if (refusal?.reported === true) wakes.push(refusal.untilMs);
    return wakes.length === 0 ? null : Math.min(...wakes);
  }

  tick(): void {
    const { core, claims, nodes, placing, reports } = this.#parts;
    const nowMs = core.env.nowMs();
    this.#excuse(nowMs);
    for (const node of [...nodes.living()]) this.#judge(node, nowMs);
    placing.expireAttempts(nowMs);
    for (const node of [...nodes.refusing()]) reports.endRefusal(node, nowMs);
    claims.resend(nowMs - core.timers.resendMs);
    if (nowMs < this.#heartbeatAtMs) return;
    this.#heartbeatAtMs = nowMs + core.timers.heartbeatMs;
    for (const node of nodes.living()) this.renew(node);
  }

  /** Prolong what is committed there, and ask for a report. */
  renew(node: NodeRecord): void {
    if (node.state === 'unknown') return;
    const { core } = this.#parts;
    const { fencingMs, graceMs } = core.timers;
    core.post(node.spec.id, { t: 'renew', fencingMs, graceMs, heardMs: node.reportedAtMs });
  }

  /** A head that was held up itself, with its mail unread, does not take that for the silence of others. */
  #excuse(nowMs: number): void {
    const { core, nodes } = this.#parts;
    const { heartbeatMs } = core.timers;
    const lateMs = nowMs - this.#tickedAtMs - heartbeatMs;
    this.#tickedAtMs = nowMs;
    if (lateMs <= heartbeatMs) return;
    for (const node of nodes.living()) node.heardAtMs = Math.min(nowMs, node.heardAtMs + lateMs);
  }

  #judge(node: NodeRecord, nowMs: number): void {
    const { core, nodes, membership } = this.#parts;
    const { suspectMs, deadMs, rejoinMs } = core.timers;
    const silentMs = nowMs - node.heardAtMs;
    if (node.state === 'unknown') {
      if (silentMs > rejoinMs) membership.die(node, `it did not join again within ${rejoinMs} ms`);
    } else if (silentMs > deadMs) membership.die(node, `silent for ${Math.round(silentMs)} ms`);
    else if (silentMs > suspectMs && node.state === 'alive') {
      nodes.change(node, `silent for ${Math.round(silentMs)} ms`, () => {
        node.state = 'suspect';
      });
    }
  }
}
