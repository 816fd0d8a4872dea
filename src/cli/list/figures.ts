/** Figures of training for people, as short as they can be. Pure. */

/** Four digits: `0.01234`, `12.34`, `1.234e-7`; `-` for none. */
export function figure(value: number | null): string {
  if (value === null) return '-';
  const digits = value.toPrecision(4);
  return digits.includes('e')
    ? digits.replace(/\.?0*e\+?/, 'e')
    : digits.replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '');
}

/** `9999`, `12.3k`, `4.56M`; `-` for none. */
export function count(value: number | null): string {
  if (value === null) return '-';
  if (value < 10_000) return String(Math.round(value));
  const [unit, size] = value < 999_500 ? ['k', 1e3] : value < 999_500_000 ? ['M', 1e6] : ['G', 1e9];
  return `${Number((value / size).toPrecision(3))}${unit}`;
}

/** `0.4 ms`, `23 ms`, `1.5 s`; `-` for none. */
export function milliseconds(value: number | null): string {
  if (value === null) return '-';
  if (value < 10) return `${value.toFixed(1)} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  return value < 10_000 ? `${(value / 1000).toFixed(1)} s` : `${Math.round(value / 1000)} s`;
}
