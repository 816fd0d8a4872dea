/** `HOST:PORT`, as users write where a head is. Pure. */
import { isIPv4 } from 'node:net';
import { TwinkleError } from '../errors.js';

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?)*$/i;
const HIGHEST_PORT = 65_535;

export interface TcpAddress {
  /** An IPv4 address or a name. */
  readonly host: string;
  readonly port: number;
}

/**
 * @param name of the option, for the words
 * @throws `USAGE`
 */
export function readTcpAddress(text: string, name: string): TcpAddress {
  const [, host = '', digits = ''] = /^(.*):(\d{1,5})$/.exec(text.trim()) ?? [];
  const port = Number(digits);
  const numeric = /^[\d.]+$/.test(host);
  if (port < 1 || port > HIGHEST_PORT || (numeric ? !isIPv4(host) : !HOST_NAME.test(host))) {
    throw new TwinkleError(
      'USAGE',
      `expected HOST:PORT, an IPv4 address or a name and a port from 1 to ${HIGHEST_PORT}, for \`${name}\` but received "${text}"`,
    );
  }
  return { host, port };
}

export function writeTcpAddress({ host, port }: TcpAddress): string {
  return `${host}:${port}`;
}
