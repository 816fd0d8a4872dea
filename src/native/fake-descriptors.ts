/** Descriptor numbers of the fake addon: no kernel behind them, but a leak or a double close shows. */
import { TwinkleError } from '../errors.js';

/** Numbers that are open. */
export interface FakeDescriptors {
  readonly numbers: ReadonlySet<number>;
  open(): number;
  /** @throws TwinkleError `NATIVE` (EBADF) when `fd` is not open */
  close(fd: number): void;
  /** @throws TwinkleError `NATIVE` (EBADF) when `fd` is not open */
  check(fd: number): void;
}

/** Starts far above real descriptors, so that mixing them up fails. */
export function createFakeDescriptors(): FakeDescriptors {
  const numbers = new Set<number>();
  let next = 100_000;
  const check = (fd: number) => {
    if (numbers.has(fd)) return;
    throw new TwinkleError('NATIVE', `descriptor ${fd} is not open`, { details: { errno: 'EBADF' } });
  };
  return {
    numbers,
    check,
    open() {
      next += 1;
      numbers.add(next);
      return next;
    },
    close(fd) {
      check(fd);
      numbers.delete(fd);
    },
  };
}
