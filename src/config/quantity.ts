/** Numbers with units as people write them. Pure; returns null for what is none, so that the caller words the error. */

const TOKENS: Readonly<Record<string, number>> = { '': 1, k: 1000, m: 1e6, K: 1024, M: 1024 ** 2 };
const BYTES: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1024,
  kb: 1000,
  kib: 1024,
  m: 1024 ** 2,
  mb: 1e6,
  mib: 1024 ** 2,
  g: 1024 ** 3,
  gb: 1e9,
  gib: 1024 ** 3,
};

/** `4096`, `8k` (8000), `8K` (8192), `25.6k`, as vLLM reads `--max-model-len`. */
export function parseTokens(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)([kmKM]?)$/.exec(text.trim());
  return match === null ? null : whole(Number(match[1]) * (TOKENS[match[2] ?? ''] as number));
}

/** `16MiB`, `16m` (both ×1024²), `16MB` (×1000²), `65536`. */
export function parseBytes(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/.exec(text.trim().toLowerCase());
  const unit = match === null ? undefined : BYTES[match[2] ?? ''];
  return match === null || unit === undefined ? null : whole(Number(match[1]) * unit);
}

/** A plain decimal number, or null. */
export function parseNumber(text: string): number | null {
  return /^-?\d+(?:\.\d+)?$/.test(text.trim()) ? Number(text) : null;
}

/** `16.0 MiB` for people. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

function whole(value: number): number | null {
  const rounded = Math.round(value);
  return Math.abs(rounded - value) < 1e-6 && Number.isSafeInteger(rounded) ? rounded : null;
}
