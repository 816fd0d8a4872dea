/** Where the server listens: host, port or unix socket, and whether that is this machine only. Pure. */
import { isIP } from 'node:net';
import { isAbsolute, resolve } from 'node:path';
import { TwinkleError } from '../errors.js';
import { invalid, located, type Settings } from './settings.js';

/** sun_path holds 108 bytes with the final zero. */
const MAX_UDS_BYTES = 107;

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i;

/** The compiled address. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly uds: string | null;
}

/**
 * Read and check host, port and uds.
 * @throws when one is malformed, or when a socket path comes together with a host or port
 */
export function compileAddress(settings: Settings, cwd: string): Address {
  const host = (settings.text('host') as string).replace(/^\[(.*)\]$/, '$1');
  const writtenHost = settings.written('host');
  const numeric = /^[\d.]+$/.test(host);
  if (writtenHost !== null && isIP(host) === 0 && (numeric || !HOST_NAME.test(host))) {
    throw invalid(
      writtenHost,
      'an IP address or a host name',
      false,
      'write 127.0.0.1 for this machine only, 0.0.0.0 for all',
    );
  }
  const port = settings.number('port') as number;
  const writtenUds = settings.written('uds');
  if (writtenUds === null) return { host, port, uds: null };
  const other = writtenHost ?? settings.written('port');
  if (other !== null) {
    throw new TwinkleError(
      'CONFIG_INVALID',
      `${located(writtenUds.origin)}expected either \`${writtenUds.origin.name}\` or \`${other.origin.name}\` but both are set; leave one out`,
    );
  }
  const text = settings.text('uds') as string;
  const uds = isAbsolute(text) ? text : resolve(cwd, text);
  const bytes = Buffer.byteLength(uds);
  if (bytes > MAX_UDS_BYTES) {
    throw invalid(
      writtenUds,
      `a path of at most ${MAX_UDS_BYTES} bytes`,
      false,
      `it is ${bytes} bytes long: take a shorter folder`,
    );
  }
  return { host, port, uds };
}

/** Whether only this machine can connect. */
export function isLocal(address: Address): boolean {
  if (address.uds !== null) return true;
  const host = address.host.toLowerCase();
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
