import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv4 } from 'node:net';
import { describe, expect, it, test } from 'vitest';
import { addressTowards, defaultAddress, defaultInterface, namedAddress } from '../../../src/runtime/node-address.js';
import { readTcpAddress } from '../../../src/runtime/tcp-address.js';

const HEAD = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT';
const table = (...rows: string[]): string => [HEAD, ...rows, ''].join('\n');

describe('the interface of the default route', () => {
  it('is the one of least metric that is up', () => {
    const eth = 'eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0';
    const wlan = 'wlan0\t00000000\t010200C0\t0003\t0\t0\t50\t00000000\t0\t0\t0';
    const down = 'wwan0\t00000000\t010200C0\t0002\t0\t0\t1\t00000000\t0\t0\t0';
    const net = 'eth1\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0';
    const half = 'tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0';
    expect(defaultInterface(table(net, half, eth, down, wlan))).toBe('wlan0');
    expect(defaultInterface(table(net, eth))).toBe('eth0');
    expect(defaultInterface(table(net))).toBeNull();
    expect(defaultInterface('')).toBeNull();
  });

  it('gives this box an address', () => {
    expect(isIPv4(defaultAddress().address)).toBe(true);
  });
});

test('an address that the user names must be of this box', () => {
  expect(namedAddress('127.0.0.7')).toEqual({ address: '127.0.0.7', interface: null });
  for (const wrong of ['0.0.0.0', '192.0.2.77', '::1', 'localhost', '']) {
    expect(() => namedAddress(wrong)).toThrow(/IPv4 address of this box \(.*127\.0\.0\.1.*\) for `--node-ip-address`/);
  }
});

test('the address towards another box is the one of the route there; no packet is sent', async () => {
  const heard = createSocket('udp4');
  heard.bind(0, '127.0.0.1');
  await once(heard, 'listening');
  const packets: unknown[] = [];
  heard.on('message', (packet) => packets.push(packet));
  const { port } = heard.address();
  expect(await addressTowards({ host: '127.0.0.1', port })).toBe('127.0.0.1');
  expect(await addressTowards({ host: 'localhost', port })).toBe('127.0.0.1');
  heard.close();
  await once(heard, 'close');
  expect(packets).toEqual([]);
  await expect(addressTowards({ host: 'nosuch.invalid', port })).rejects.toMatchObject({
    code: 'HEAD_UNREACHABLE',
    message: `cannot reach the head at nosuch.invalid:${port}: no address is known for that name`,
  });
});

test('where a head is, as users write it', () => {
  expect(readTcpAddress(' gpu-1.lan:6379 ', '--address')).toEqual({ host: 'gpu-1.lan', port: 6379 });
  expect(readTcpAddress('10.0.0.5:1', '--address')).toEqual({ host: '10.0.0.5', port: 1 });
  for (const wrong of [
    '',
    'auto',
    'host',
    'host:',
    ':1',
    'host:0',
    'host:65536',
    '10.0.0.256:1',
    '10.0.5:1',
    'a b:1',
  ]) {
    expect(() => readTcpAddress(wrong, '--address')).toThrow(`for \`--address\` but received "${wrong}"`);
  }
  expect(() => readTcpAddress('tcp://h:1', '--address')).toThrow('expected HOST:PORT');
  expect(() => readTcpAddress('[::1]:1', '--address')).toThrow('expected HOST:PORT');
});
