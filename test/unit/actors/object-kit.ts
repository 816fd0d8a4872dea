/** An object table of texts with three clients, and what its sink was told. */
import { expect } from 'vitest';
import { ObjectTable } from '../../../src/actors/object-table.js';
import type { ObjectFacts, Outcome, StoredValue, Waiter } from '../../../src/actors/object-types.js';

export interface Text extends StoredValue {
  readonly text: string;
}

export const text = (content: string, refs: readonly string[] = []): Text => ({
  text: content,
  bytes: content.length,
  block: null,
  refs,
});
export const large = (block: number | null, refs: readonly string[] = []): Text => ({
  text: '',
  bytes: 10,
  block,
  refs,
});

/** Clients that have joined. */
export const DRIVER = 1;
export const WORKER = 2;
export const OTHER = 3;

export function setUp() {
  const freed: number[] = [];
  const unspilled: string[] = [];
  const ended: string[] = [];
  const told: { id: string; outcome: Outcome<Text>; waiters: readonly Waiter[] }[] = [];
  const table = new ObjectTable<Text>({
    free: (block) => freed.push(block),
    unspill: (id) => unspilled.push(id),
    ended: (id) => ended.push(id),
    fulfilled: (id, outcome, waiters) => told.push({ id, outcome, waiters }),
  });
  for (const client of [DRIVER, WORKER, OTHER]) table.clientJoined(client);
  const ids = (): string[] => Array.from(table.list(), ({ id }) => id);
  const row = (id: string): ObjectFacts | undefined => [...table.list()].find((facts) => facts.id === id);
  const put = (id: string, block: number, bytes = 1000): void => {
    table.reserve(DRIVER, id, block, bytes);
    table.seal(DRIVER, id, large(block), [DRIVER]);
  };
  return { table, freed, unspilled, ended, told, ids, row, put };
}

export const protocol = (about: RegExp) =>
  expect.objectContaining({ code: 'PROTOCOL', message: expect.stringMatching(about) });
