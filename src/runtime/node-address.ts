/** The IPv4 address by which other boxes reach this one. Asks the kernel, never a program. */
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import { TwinkleError } from '../errors.js';
import type { TcpAddress } from './tcp-address.js';

/** An address and the interface that has it. */
export interface OwnAddress {
  readonly address: string;
  /** Null: no interface has the default route, or the user named the address. */
  readonly interface: string | null;
}

type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

const ALONE: OwnAddress = { address: '127.0.0.1', interface: null };
const UP = 0x1;

/** The address of the interface that has the default route; 127.0.0.1 without one. */
export function defaultAddress(): OwnAddress {
  let table = '';
  try {
    table = readFileSync('/proc/net/route', 'utf8');
  } catch {
    return ALONE; // a box without a network
  }
  const name = defaultInterface(table);
  const address = name === null ? null : ipv4Of(networkInterfaces(), name);
  return address === null ? ALONE : { address, interface: name };
}

/** Of /proc/net/route: the interface of the default route with the least metric; null: there is none. Pure. */
export function defaultInterface(table: string): string | null {
  const routes = table
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, target, , flags, , , , mask]) => target === '00000000' && mask === '00000000' && isUp(flags))
    .map(([name = '', , , , , , metric]) => ({ name, metric: Number(metric) }))
    .sort((a, b) => a.metric - b.metric);
  return routes[0]?.name ?? null;
}

/**
 * The address that the user named, if it is one of this box.
 * @throws `USAGE`
 */
export function namedAddress(text: string): OwnAddress {
  const here = Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address));
  const own = here.filter((address) => isIPv4(address));
  if (own.includes(text) || /^127(\.\d+){3}$/.test(text)) return { address: text, interface: null };
  throw new TwinkleError(
    'USAGE',
    `expected an IPv4 address of this box (${own.join(', ')}) for \`--node-ip-address\` but received "${text}"`,
  );
}

/**
 * The address that packets to there come from. Sends none.
 * @throws `HEAD_UNREACHABLE` when the name is nobody's, or no route leads there
 */
export function addressTowards({ host, port }: TcpAddress): Promise<string> {
  const socket = createSocket('udp4');
  return new Promise<string>((resolve, reject) => {
    const fail = (error: Error): void => {
      const { code } = error as NodeJS.ErrnoException;
      const why = code === 'ENOTFOUND' || code === 'EAI_AGAIN' ? 'no address is known for that name' : error.message;
      reject(
        new TwinkleError('HEAD_UNREACHABLE', `cannot reach the head at ${host}:${port}: ${why}`, { cause: error }),
      );
    };
    socket.once('error', fail);
    socket.once('connect', () => resolve(socket.address().address));
    socket.connect(port, host);
  }).finally(() => socket.close());
}

function isUp(flags: string | undefined): boolean {
  return (Number.parseInt(flags ?? '0', 16) & UP) !== 0;
}

function ipv4Of(all: Interfaces, name: string): string | null {
  return all[name]?.find(({ address }) => isIPv4(address))?.address ?? null;
}
