import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { curveKeyPair, Dealer } from 'zeromq';
import { decodeZ85 } from '../../src/transport/z85.js';
import { openZmqHub } from '../../src/transport/zmq-hub.js';
import { GangKit, killProcess } from '../support/gang-kit.js';

let kit: GangKit;
beforeEach(async () => {
  kit = await GangKit.make('tcp://127.0.0.1:*');
});
afterEach(async () => {
  await kit[Symbol.asyncDispose]();
});

it('ranks join over tcp with keys of their own, and come back with new ones', async () => {
  expect(kit.hub.endpoint).toMatch(/^tcp:\/\/127\.0\.0\.1:\d+$/);
  const gang = kit.gang({}, { worldSize: 2 });
  gang.start();
  await kit.until(gang, 'ready');
  expect(await gang.lead?.call('echo', 'over tcp')).toBe('over tcp');
  killProcess(gang.pids[0], 'SIGKILL');
  await kit.until(gang, 'backoff');
  await kit.until(gang, 'ready');
  expect(await gang.lead?.call('echo', 'again')).toBe('again');
});

it('lets nobody in who was given no key, or whose key has ended', async () => {
  await using hub = await openZmqHub({ address: 'tcp://127.0.0.1:*', onBadFrame() {} });
  const known = hub.credentials('rank');
  if (known === null) throw new Error('a tcp hub must give out keys');
  const link = hub.link('rank');
  const heard: unknown[] = [];
  link.receive((frame) => heard.push(frame));
  const hello = Buffer.from([0x81, 0xa1, 0x74, 0xa3, 0x6e, 0x65, 0x77]);

  /** Sends one frame; resolves with how the handshake ended. */
  const attempt = async (keys: { publicKey: string; secretKey: string } | null, routingId: string) => {
    const dealer = new Dealer({
      routingId,
      linger: 0,
      ...(keys === null
        ? {}
        : { curveServerKey: known.server_key, curvePublicKey: keys.publicKey, curveSecretKey: keys.secretKey }),
    });
    const outcome = new Promise<string>((resolve) => {
      dealer.events.on('handshake', () => resolve('in'));
      dealer.events.on('handshake:error:auth', () => resolve('refused'));
      dealer.events.on('handshake:error:protocol', () => resolve('refused'));
      dealer.events.on('handshake:error:other', () => resolve('refused'));
      dealer.events.on('disconnect', () => resolve('refused'));
    });
    dealer.connect(hub.endpoint);
    const sent = dealer.send(hello).catch(() => {});
    const result = await outcome;
    return {
      result,
      close: async () => {
        dealer.close();
        await sent;
      },
    };
  };
  const stranger = await attempt(curveKeyPair(), 'rank');
  const plain = await attempt(null, 'rank');
  const rank = await attempt({ publicKey: known.public_key, secretKey: known.secret_key }, 'rank');
  expect([stranger.result, plain.result, rank.result]).toEqual(['refused', 'refused', 'in']);
  while (heard.length === 0) await new Promise((resolve) => setImmediate(resolve));
  await rank.close();
  link.close();
  const late = await attempt({ publicKey: known.public_key, secretKey: known.secret_key }, 'rank');
  expect(late.result).toBe('refused');
  expect(heard).toHaveLength(1);
  for (const each of [stranger, plain, late]) await each.close();
});

it('shrugs off garbage on its port', async () => {
  const gang = kit.gang();
  gang.start();
  await kit.until(gang, 'ready');
  const socket = connect(Number(new URL(kit.hub.endpoint).port), '127.0.0.1');
  await once(socket, 'connect');
  socket.write(Buffer.alloc(4096, 0x47), () => socket.destroy());
  await once(socket, 'close');
  expect(await gang.lead?.call('echo', 'still here')).toBe('still here');
});

it('Z85 decodes what RFC 32 shows, and refuses the rest', () => {
  expect(decodeZ85('HelloWorld')).toEqual(Buffer.from([0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b]));
  expect(() => decodeZ85('abcd')).toThrow(RangeError);
  expect(() => decodeZ85('ab cd')).toThrow(RangeError);
});
