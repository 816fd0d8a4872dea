/** What an object table did and says, against what the naive model makes of the same operations. */
import { isDeepStrictEqual } from 'node:util';
import type { ObjectTable } from '../../../src/actors/object-table.js';
import type { ObjectSink, Outcome, StoredValue, Waiter } from '../../../src/actors/object-types.js';
import type { ModelObject, ObjectModel } from './object-model.js';

/** A sink that writes down what it is told, beside what it should be told. */
export class Effects implements ObjectSink<StoredValue> {
  /** All blocks that the table took. */
  readonly given = new Set<number>();
  readonly freed: number[] = [];
  /** Ids with a copy outside of memory: those who move bytes add, the table gives back. */
  readonly copies = new Set<string>();
  /** Watched ones, as often as one of that id ended. */
  readonly over: string[] = [];
  readonly told: string[] = [];
  readonly expected: string[] = [];
  problem: string | null = null;

  free(block: number): void {
    this.freed.push(block);
  }

  unspill(id: string): void {
    if (!this.copies.delete(id)) this.problem = `the spilled copy of ${id} was given back without being there`;
  }

  ended(id: string): void {
    this.over.push(id);
  }

  fulfilled(id: string, outcome: Outcome<StoredValue>, waiters: readonly Waiter[]): void {
    for (const { client, token } of waiters) this.told.push(`${client}/${token}: ${id} ${outcome.kind}`);
  }
}

/** What the table says otherwise than the model; null: nothing. */
export function difference(table: ObjectTable<StoredValue>, model: ObjectModel, effects: Effects): string | null {
  return (
    rowsDiffer(table, model) ??
    effectsDiffer(model, effects) ??
    spillableDiffers(table, model) ??
    totalsDiffer(table, model)
  );
}

function rowsDiffer(table: ObjectTable<StoredValue>, model: ObjectModel): string | null {
  const rows = new Map(Array.from(table.list(), (row) => [row.id, row]));
  if (!same([...rows.keys()], [...model.objects.keys()])) {
    return `living ${[...rows.keys()]}, not ${[...model.objects.keys()]}`;
  }
  for (const object of model.objects.values()) {
    const facts = model.facts(object);
    const row = rows.get(object.id);
    if (!isDeepStrictEqual(row, facts)) return `${JSON.stringify(row)}, not ${JSON.stringify(facts)}`;
  }
  return null;
}

function effectsDiffer(model: ObjectModel, { given, freed, copies, over, told, expected }: Effects): string | null {
  if (new Set(freed).size !== freed.length) return `a block was freed twice: ${freed}`;
  const needed = model.blocks();
  const free = [...given].filter((block) => !needed.has(block));
  if (!same(freed, free)) return `freed ${freed}, not ${free}`;
  const outside = [...model.objects.values()].filter(({ outside }) => outside !== null).map(({ id }) => id);
  if (!same([...copies], outside)) return `copies of ${[...copies]}, not of ${outside}`;
  if (!isDeepStrictEqual([...over].sort(), [...model.over].sort())) return `ended ${over}, not ${model.over}`;
  return same(told, expected) ? null : `told ${told}, not ${expected}`;
}

function spillableDiffers(table: ObjectTable<StoredValue>, model: ObjectModel): string | null {
  const spillable = Array.from(table.spillable(), ({ id }) => id);
  if (!same(spillable, model.spillable())) return `spillable ${spillable}, not ${model.spillable()}`;
  // Those that one client's end closed were used last at the same time: their order is open.
  const used = spillable.map((id) => model.objects.get(id)?.usedAt ?? 0);
  return isDeepStrictEqual(
    used,
    [...used].sort((a, b) => a - b),
  )
    ? null
    : `spillable ${spillable} were used at ${used}`;
}

function totalsDiffer(table: ObjectTable<StoredValue>, model: ObjectModel): string | null {
  const objects = [...model.objects.values()];
  const sum = (bytes: (object: ModelObject) => number): number =>
    objects.reduce((all, object) => all + bytes(object), 0);
  const written = ({ writers }: ModelObject): number =>
    [...writers.values()].reduce((all, { bytes }) => all + bytes, 0);
  const totals = {
    objects: objects.length,
    inlineBytes: sum(({ inlineBytes }) => inlineBytes),
    slabBytes: sum((object) => written(object) + (object.block === null ? 0 : object.blockBytes)),
    spilledBytes: sum(({ outside, blockBytes }) => (outside === 'spilled' ? blockBytes : 0)),
    awayBytes: sum(({ outside, blockBytes }) => (outside === 'away' ? blockBytes : 0)),
  };
  const got = table.totals();
  return isDeepStrictEqual(got, totals) ? null : `totals ${JSON.stringify(got)}, not ${JSON.stringify(totals)}`;
}

/** Equal but for the order. */
function same(a: readonly (string | number)[], b: readonly (string | number)[]): boolean {
  return a.length === b.length && isDeepStrictEqual(new Set(a), new Set(b));
}
