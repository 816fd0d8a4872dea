/** The fake addon: what tests of other parts rely on. */
import { describe, expect, it } from 'vitest';

import { createFakeNative } from '../../../src/native/fake.js';
import type { ProcessExit } from '../../../src/native/types.js';
import { command, native } from './support.js';

describe('createFakeNative', () => {
  it('has every name of the real addon', () => {
    const fake = createFakeNative();
    for (const [name, value] of Object.entries(native))
      expect(fake).toHaveProperty(name, expect.any(value.constructor));
  });

  it('records processes and lets the test end them', async () => {
    const fake = createFakeNative();
    const [from, to] = fake.pipe();
    const pid = fake.spawn(command('python3', ['-m', 'x'], { fds: [[1, to]] }));
    const other = fake.spawn(command('python3', []));
    fake.processes.end(pid, { code: 3 });
    const exits: ProcessExit[] = [];
    fake.onExit((exit) => exits.push(exit));
    expect(exits).toEqual([]);
    await Promise.resolve();
    expect(exits).toMatchObject([{ pid, code: 3, signal: null, child: true }]);
    expect(fake.killGroup(other, 15)).toBe(true);
    expect(fake.processes.spawned[1]).toMatchObject({ alive: true, signals: [15] });
    expect(fake.killGroup(other, 9)).toBe(true);
    expect(fake.killGroup(other, 9)).toBe(false);
    await Promise.resolve();
    expect(exits[1]).toMatchObject({ pid: other, signal: 9, code: null });
    fake.watch(77);
    fake.processes.end(77, { code: 0 });
    await Promise.resolve();
    expect(exits[2]).toMatchObject({ pid: 77, child: false, code: null });
    expect(() => fake.processes.end(77, { code: 0 })).toThrow('no fake process 77 lives');
    for (const fd of [from, to]) fake.closeFd(fd);
    expect(fake.openFds.size).toBe(0);
  });

  it('counts descriptors', () => {
    const fake = createFakeNative();
    const [a, b] = fake.socketPair();
    const { fd } = fake.listenSocket('127.0.0.1', 0, 1);
    fake.sendFds(a, new Uint8Array([1]), [fd]);
    expect(fake.sent).toEqual([{ socket: a, data: new Uint8Array([1]), fds: [fd] }]);
    fake.closeFd(b);
    expect(() => fake.closeFd(b)).toThrow('is not open');
    expect(() => fake.sendFds(b, new Uint8Array(1), [])).toThrow('is not open');
    expect(() => fake.spawn(command('x', [], { fds: [[3, b]] }))).toThrow('is not open');
    expect([...fake.openFds]).toEqual([a, fd]);
  });

  it('shares memory by descriptor and detaches with the last close', () => {
    const fake = createFakeNative({ memlockBytes: 4096, cpu: { memoryAvailableBytes: 16_384 } });
    const options = { name: 'x', size: 5000, lock: false, register: 'none' } as const;
    const first = fake.segmentCreate(options);
    const second = fake.segmentOpen(first.fd, 'y');
    new Uint8Array(first.buffer())[0] = 9;
    first.close();
    const view = new Uint8Array(second.buffer());
    expect(view[0]).toBe(9);
    expect(() => first.buffer()).toThrow(expect.objectContaining({ code: 'SEGMENT_CLOSED' }));
    second.close();
    expect(view.length).toBe(0);
    expect(() => fake.segmentOpen(first.fd, 'z')).toThrow('no fake segment');
    const refuses = (body: () => unknown, code: string) => expect(body).toThrow(expect.objectContaining({ code }));
    refuses(() => fake.segmentCreate({ ...options, lock: true }), 'MEMLOCK_LIMIT');
    refuses(() => fake.segmentCreate({ ...options, size: 20_000 }), 'SHM_FULL');
    refuses(() => fake.segmentCreate({ ...options, register: 'cuda' }), 'DEVICE_MISSING');
    refuses(() => fake.segmentCreate({ ...options, size: Number.NaN }), 'NATIVE');
    expect(fake.openFds.size).toBe(0);
  });

  it('takes a report or a spec of devices', () => {
    const report = createFakeNative({ devices: 'gpu:2' }).devices();
    expect(report.devices).toHaveLength(2);
    expect(createFakeNative({ devices: report }).devices()).toBe(report);
    expect(createFakeNative().devices().devices).toEqual([]);
  });
});
