/** A part of a shared segment as private memory: no copy, and what is written stays here. */
import { execFileSync } from 'node:child_process';
import { openSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { addonPath, native } from './support.js';

const OPTIONS = { name: 'view', size: 3 * 4096, lock: false, register: 'none' } as const;

describe('a private view', () => {
  it('shows what is in the segment, from any byte on, and keeps what is written to itself', () => {
    const segment = native.segmentCreate(OPTIONS);
    const shared = new Uint8Array(segment.buffer());
    shared.set([1, 2, 3, 4], 4096 + 64);
    const view = new Uint8Array(native.mapPrivate(segment.fd, 4096 + 64, 4096));
    expect(view.byteLength).toBe(4096);
    expect([...view.subarray(0, 4)]).toEqual([1, 2, 3, 4]);
    shared[4096 + 64] = 9; // not copied: what the others write is seen until it is written to here
    expect(view[0]).toBe(9);
    view[0] = 7;
    expect(shared[4096 + 64]).toBe(9);
    expect(new Uint8Array(native.mapPrivate(segment.fd, 4096 + 64, 1))[0]).toBe(9);
    segment.close();
    expect(view[1]).toBe(2); // it outlives the segment
  });

  it('is unmapped when nobody has it', () => {
    const script = `
      const { readFileSync } = require('node:fs');
      const native = require(${JSON.stringify(addonPath)});
      const segment = native.segmentCreate(${JSON.stringify(OPTIONS)});
      const mapped = () => readFileSync('/proc/self/maps', 'utf8').split('\\n').filter((line) => /rw-p.*memfd:view/.test(line)).length;
      (() => { for (let count = 0; count < 20; count++) native.mapPrivate(segment.fd, 0, 4096); })();
      if (mapped() === 0) process.exit(2);
      let left = 1000;
      (function again() {
        globalThis.gc();
        if (mapped() === 0) process.exit(0);
        if (left-- === 0) process.exit(1);
        setImmediate(again);
      })();
    `;
    execFileSync(process.execPath, ['--expose-gc', '-e', script], { stdio: 'inherit' });
  });

  it('refuses what is outside of it, and what could shrink under it', () => {
    const segment = native.segmentCreate(OPTIONS);
    expect(() => native.mapPrivate(segment.fd, 3 * 4096, 1)).toThrow('expected a part of 12288 bytes');
    expect(() => native.mapPrivate(segment.fd, 1, 3 * 4096)).toThrow('expected a part of 12288 bytes');
    expect(() => native.mapPrivate(segment.fd, 0, 0)).toThrow('size');
    expect(() => native.mapPrivate(openSync('/proc/self/exe', 'r'), 0, 1)).toThrow('sealed against shrinking');
    expect(() => native.mapPrivate(9999, 0, 1)).toThrow('EBADF');
    segment.close();
  });
});
