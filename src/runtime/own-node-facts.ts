/**
 * What a standalone head says of its own node. A restarted head goes on as the same node while groups of before hold anything there: with the
 * devices that it offered then, whatever it is told to offer now. Otherwise a device could be given to a second one while the first still runs.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { GroupView, LedgerRecord, NodeHello } from '../cluster/types.js';

type Facts = Omit<NodeHello, 'held'>;

/** Id of the node: made once per home, so that neither a new host name nor another way to write the path makes another node of it. */
export function nodeId(folder: string): string {
  const path = join(folder, 'node-id');
  if (existsSync(path)) return readFileSync(path, 'utf8').trim();
  const name =
    hostname()
      .replace(/[^A-Za-z0-9-]+/g, '-')
      .slice(0, 40) || 'node';
  const id = `${name}-${randomBytes(3).toString('hex')}`;
  writeFileSync(path, `${id}\n`, { mode: 0o600 });
  return id;
}

/**
 * The node's facts for this start.
 * @param offer what the machine offers now
 * @param records the journal
 * @param groups as the journal left them
 */
export function takeOver(
  offer: Omit<Facts, 'id' | 'incarnation'>,
  id: string,
  records: readonly LedgerRecord[],
  groups: Iterable<GroupView>,
): { readonly node: Facts; readonly kept: boolean } {
  const boot = bootId();
  const previous = records.findLast((record) => record.r === 'node' && record.hello.id === id);
  const holds = [...groups].some(
    ({ state, seats }) => state !== 'REMOVED' && seats.some((seat) => seat !== null && seat.node === id),
  );
  if (previous?.r === 'node' && holds && previous.hello.incarnation.startsWith(boot)) {
    const { address, version, pid } = offer;
    return { node: { ...previous.hello, address, version, pid }, kept: !sameOffer(previous.hello, offer) };
  }
  return { node: { ...offer, id, incarnation: freshIncarnation() }, kept: false };
}

/** For a node that holds nothing of before. Begins with what names this start of the machine. */
export function freshIncarnation(): string {
  return `${bootId()}.${randomBytes(4).toString('hex')}`;
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

function sameOffer(before: Omit<Facts, 'id' | 'incarnation'>, now: Omit<Facts, 'id' | 'incarnation'>): boolean {
  const told = ({ total, devices, labels }: Pick<Facts, 'total' | 'devices' | 'labels'>): string =>
    JSON.stringify([Object.entries(total).sort(), Object.entries(devices).sort(), Object.entries(labels).sort()]);
  return told(before) === told(now);
}
