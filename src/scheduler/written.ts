/** Looking at what users wrote, whatever it is: how a wrong value is shown, and the checks that every description shares. Pure. */
import { TwinkleError } from '../errors.js';

const SHOWN_LETTERS = 60;
const SHOWN_NAMES = 6;

/** An error about a description. */
export function invalid(message: string): TwinkleError {
  return new TwinkleError('PLACEMENT_INVALID', message);
}

/** `expected WHAT for \`PATH\` but received VALUE; do FIX`. */
export function unexpected(what: string, path: string, value: unknown, fix?: string): TwinkleError {
  return invalid(`expected ${what} for \`${path}\` but received ${shown(value)}${fix === undefined ? '' : `; ${fix}`}`);
}

/** A value in a message: short, whatever its size. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return JSON.stringify(clip(value));
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return clip(String(value));
  const names = Object.keys(value);
  if (names.length === 0) return value instanceof Map ? 'a Map' : 'an empty object';
  return `an object with ${clip(names.slice(0, SHOWN_NAMES).join(', '))}${names.length > SHOWN_NAMES ? ', …' : ''}`;
}

function clip(text: string): string {
  return text.length > SHOWN_LETTERS ? `${text.slice(0, SHOWN_LETTERS)}…` : text;
}

/** A plain object's entries. */
export function entriesOf(value: unknown, path: string, what = 'an object'): [string, unknown][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Map) {
    throw unexpected(what, path, value);
  }
  return Object.entries(value);
}

/** Text, or `standard` when nothing was written. */
export function textOr<T>(value: unknown, path: string, standard: T): string | T {
  if (value === undefined || value === null) return standard;
  if (typeof value !== 'string') throw unexpected('text', path, value);
  return value;
}

/** A switch: false when nothing was written. */
export function flagOf(value: unknown, path: string): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value !== 'boolean') throw unexpected('true or false', path, value);
  return value;
}
