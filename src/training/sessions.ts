/** Clients' sessions: each lives while it is heard of. Knows nothing of what they hold; whoever does is told when one ends. */
import { randomUUID } from 'node:crypto';
import { TwinkleError } from '../errors.js';
import { type Recorder, UNRECORDED } from './journal/recorder.js';
import type { SessionRecord } from './journal/records.js';
import { TenantCount } from './limits.js';
import type { NewSession } from './types.js';

export interface Session {
  readonly id: string;
  readonly tenant: string;
  readonly userMetadata: Readonly<Record<string, unknown>> | null;
  readonly displayName: string | null;
  readonly idempotencyKey: string | null;
  /** When it was last heard of. */
  heardMs: number;
}

export interface SessionsOptions {
  nowMs(): number;
  /** Silence after which a session ends. */
  readonly silenceMs: number;
  ended(session: Session): void;
  /** Default: nothing is. */
  readonly recorder?: Recorder;
  /** Default: as many as they like. */
  readonly count?: TenantCount;
}

export class Sessions {
  readonly #all = new Map<string, Session>();
  readonly #byKey = new Map<string, Session>();

  readonly #recorder: Recorder;
  readonly #count: TenantCount;

  constructor(private readonly options: SessionsOptions) {
    this.#recorder = options.recorder ?? UNRECORDED;
    this.#count = options.count ?? new TenantCount();
  }

  /** @throws `JOURNAL_FAILED` and others: why nothing new can be promised; `INVALID_REQUEST` for one too many */
  create(tenant: string, { displayName, idempotencyKey, userMetadata }: NewSession): Session {
    const key = idempotencyKey === null ? null : keyOf(tenant, idempotencyKey);
    const known = key === null ? undefined : this.#byKey.get(key);
    if (known !== undefined) return known;
    this.#recorder.checkWritable();
    this.#count.check(tenant);
    const session: Session = {
      id: randomUUID(),
      tenant,
      userMetadata,
      displayName,
      idempotencyKey,
      heardMs: this.options.nowMs(),
    };
    this.#add(session);
    this.#recorder.append(recordOf(session));
    return session;
  }

  /** One that a server before this one knew. Its silence counts from now on. */
  restore({ displayName, id, idempotencyKey, tenant, userMetadata }: SessionRecord): Session {
    const session = { id, tenant, userMetadata, displayName, idempotencyKey, heardMs: this.options.nowMs() };
    this.#add(session);
    return session;
  }

  /** Records of those that are there. */
  *records(): Iterable<SessionRecord> {
    for (const session of this.#all.values()) yield recordOf(session);
  }

  /** Hears of the session. @throws `SESSION_ENDED` when it is not known, or another tenant's; `NOT_READY` while nobody can say so */
  get(tenant: string, id: string): Session {
    const session = this.#all.get(id);
    if (session === undefined || session.tenant !== tenant) {
      this.#recorder.checkRead();
      throw new TwinkleError('SESSION_ENDED', `session \`${id}\` has ended or was never begun here: create a new one`, {
        param: 'session_id',
      });
    }
    session.heardMs = this.options.nowMs();
    return session;
  }

  /** Something of it was asked for. Nothing happens when it is not known. */
  hear(id: string): void {
    const session = this.#all.get(id);
    if (session !== undefined) session.heardMs = this.options.nowMs();
  }

  of(tenant: string): readonly Session[] {
    return [...this.#all.values()].filter((session) => session.tenant === tenant);
  }

  /** End it; nothing happens when it is not known, or another tenant's. */
  end(tenant: string, id: string): void {
    const session = this.#all.get(id);
    if (session?.tenant === tenant) this.#end(session);
  }

  /** End those that have been silent for too long. To be called now and then. */
  sweep(): void {
    const latest = this.options.nowMs() - this.options.silenceMs;
    for (const session of this.#all.values()) if (session.heardMs < latest) this.#end(session);
  }

  #add(session: Session): void {
    this.#all.set(session.id, session);
    this.#count.add(session.tenant);
    if (session.idempotencyKey !== null) this.#byKey.set(keyOf(session.tenant, session.idempotencyKey), session);
  }

  #end(session: Session): void {
    this.#all.delete(session.id);
    this.#count.add(session.tenant, -1);
    this.#recorder.append({ kind: 'ended', session: session.id });
    if (session.idempotencyKey !== null) this.#byKey.delete(keyOf(session.tenant, session.idempotencyKey));
    this.options.ended(session);
  }
}

const keyOf = (tenant: string, key: string): string => `${tenant} ${key}`;

function recordOf({ displayName, id, idempotencyKey, tenant, userMetadata }: Session): SessionRecord {
  return { kind: 'session', id, tenant, userMetadata, displayName, idempotencyKey };
}
