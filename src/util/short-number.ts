/** Numbers as vLLM's command line shortens them: 8k is 8,000, 8K is 8,192; m, g and t likewise. Pure. */

/** @returns null: there is no suffix; NaN: a fraction of a power of two, which vLLM refuses, too */
export function shortNumber(text: string): number | null {
  const [, digits, suffix] = /^(\d+(?:\.\d+)?)([kKmMgGtT])$/.exec(text) ?? [];
  if (digits === undefined || suffix === undefined) return null;
  const power = 'kmgt'.indexOf(suffix.toLowerCase()) + 1;
  if (suffix !== suffix.toLowerCase()) return digits.includes('.') ? NaN : Number(digits) * 1024 ** power;
  // 15 digits: 1.1 × 1000 is not 1100 in floating point.
  return Math.trunc(Number((Number(digits) * 1000 ** power).toPrecision(15)));
}
