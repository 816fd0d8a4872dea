import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { choosePrefixed, chooseReplica } from '../../../src/serving/choose-replica.js';
import { PrefixIndex } from '../../../src/serving/prefix-index.js';
import {
  BLOCK_CHARS,
  bodyBlocks,
  MAX_BLOCKS,
  promptBlocks,
  type RoutablePrompt,
} from '../../../src/serving/prompt-blocks.js';
import { PrefixRouter, type RoutedReplica } from '../../../src/serving/routing.js';

const prompt = (change: Partial<RoutablePrompt>): RoutablePrompt => ({
  text: null,
  token_ids: null,
  messages: null,
  tools: null,
  chat_template: null,
  ...change,
});
const text = (of: string): readonly number[] => promptBlocks(prompt({ text: of }));
const chat = (...contents: unknown[]): readonly number[] =>
  promptBlocks(prompt({ messages: contents.map((content) => ({ role: 'user', content })) }));
const LONG = 'Once upon a time there was a rank that kept its cache. '.repeat(40);

/** How many blocks two prompts share from the start. */
function shared(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((block, index) => block !== b[index]);
  return at < 0 ? a.length : at;
}

describe('blocks of a prompt', () => {
  it('are equal as far as the prompts are, whatever their form', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 600 }),
        fc.string({ maxLength: 300 }),
        fc.string({ maxLength: 300 }),
        (head, a, b) => {
          fc.pre(a[0] !== b[0]);
          const common = Math.floor((head.length + 2) / BLOCK_CHARS);
          const blocks = [text(head + a), text(head + b)] as const;
          expect(shared(...blocks)).toBe(Math.min(common, blocks[0].length, blocks[1].length));
          expect(shared(chat(head, a), chat(head, b))).toBeGreaterThanOrEqual(Math.floor(head.length / BLOCK_CHARS));
        },
      ),
    );
  });

  it('tell adapters, templates, tools and roles apart from the first on', () => {
    const base = text(LONG);
    for (const other of [
      promptBlocks(prompt({ text: LONG }), 'adapter'),
      promptBlocks(prompt({ text: LONG, chat_template: 'x' })),
      promptBlocks(prompt({ messages: [{ role: 'system', content: LONG }], tools: [{ name: 'f' }] })),
      promptBlocks(prompt({ messages: [{ role: 'user', content: LONG }] })),
    ])
      expect(shared(base, other)).toBe(0);
    expect(shared(chat([{ type: 'text', text: LONG }]), chat([{ type: 'text', text: `${LONG}!` }]))).toBeGreaterThan(
      10,
    );
    const ids = Array.from({ length: 400 }, (_, at) => at);
    expect(
      shared(promptBlocks(prompt({ token_ids: ids })), promptBlocks(prompt({ token_ids: [...ids.slice(0, 200), 7] }))),
    ).toBe(6);
  });

  it('end: neither a huge prompt nor an image costs more than the first of it', () => {
    const huge = 'x'.repeat(50_000_000);
    const before = performance.now();
    expect(text(huge)).toHaveLength(MAX_BLOCKS);
    expect(chat([{ type: 'image_url', image_url: { url: huge } }])).toHaveLength(MAX_BLOCKS);
    expect(performance.now() - before).toBeLessThan(200);
    expect(text('short')).toEqual([]);
  });

  it('of a body that nobody parsed begin at what the model reads', () => {
    const body = (temperature: number): string =>
      JSON.stringify({ model: 'm', temperature, messages: [{ content: LONG }] });
    expect(bodyBlocks(body(0))).toEqual(bodyBlocks(body(0.123456)));
    expect(bodyBlocks(body(0)).length).toBeGreaterThan(10);
    expect(bodyBlocks('{"model":"m"}')).toEqual([]);
  });
});

describe('the index', () => {
  it('finds the longest known beginning, and forgets a replica that restarted', () => {
    const index = new PrefixIndex(1e6);
    index.add('a', 1, [1, 2, 3, 4]);
    expect(index.matched('a', 1, [1, 2, 3, 9, 9])).toBe(3);
    expect(index.matched('a', 1, [2, 3])).toBe(2); // blocks know all before them: 2 is never first in life
    expect(index.matched('b', 1, [1])).toBe(0);
    expect(index.matched('a', 2, [1, 2])).toBe(0);
    index.add('a', 2, [7]);
    expect([index.matched('a', 2, [7]), index.matched('a', 2, [1]), index.size]).toEqual([1, 0, 1]);
  });

  it('stays within its bound, and what it keeps of a prompt is its beginning: against a plain search', () => {
    const path = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 400 });
    fc.assert(
      fc.property(fc.array(path, { maxLength: 30 }), (paths) => {
        const index = new PrefixIndex(1); // its least: 1024 a replica
        const chained = paths.map((steps) => {
          let hash = 17;
          return steps.map((step) => (hash = (Math.imul(hash, 31) + step + 1) | 0));
        });
        for (const blocks of chained) index.add('r', 1, blocks);
        expect(index.size).toBeLessThanOrEqual(1024);
        for (const blocks of chained) {
          const matched = index.matched('r', 1, blocks);
          const alone = blocks.map((block) => index.matched('r', 1, [block]) === 1);
          expect(alone.slice(0, matched)).not.toContain(false);
          expect(alone.slice(matched)).not.toContain(true);
        }
      }),
      { numRuns: 50 },
    );
  });
});

const replicaOf = fc.record({ width: fc.nat(64), room: fc.boolean(), matched: fc.nat(40) });
const candidates = (of: readonly { width: number; room: boolean }[]) =>
  of.map(({ width, room }) => ({ width, hasRoom: () => room }));

describe('the choice', () => {
  it('never falls on a replica without room, finds one if there is one, and pays for a cache within limits', () => {
    fc.assert(
      fc.property(
        fc.array(replicaOf, { maxLength: 8 }),
        fc.integer({ min: 0, max: 40 }),
        fc.nat(8),
        (all, blocks, last) => {
          const matched = all.map((one) => Math.min(one.matched, blocks));
          const least = chooseReplica(candidates(all), 1, last);
          const chosen = choosePrefixed(candidates(all), 1, last, blocks, matched);
          expect(chosen === null).toBe(all.every(({ room }) => !room));
          expect(least === null).toBe(chosen === null);
          if (chosen === null || least === null) return;
          const [a, b] = [all[chosen], all[least]] as [(typeof all)[0], (typeof all)[0]];
          expect([a.room, b.room]).toEqual([true, true]);
          expect(a.width).toBeLessThanOrEqual(1.5 * b.width + 8);
          expect(a.width).toBeGreaterThanOrEqual(b.width);
          expect((matched[chosen] ?? 0) >= (matched[least] ?? 0)).toBe(true);
        },
      ),
    );
  });

  it('is the least loaded one where nothing is known, in turn where loads are equal', () => {
    const equal = candidates([
      { width: 1, room: true },
      { width: 1, room: true },
      { width: 1, room: true },
    ]);
    expect([0, 1, 2].map((last) => chooseReplica(equal, 1, last))).toEqual([1, 2, 0]);
    expect([0, 1, 2].map((last) => choosePrefixed(equal, 1, last, 20, [0, 0, 0]))).toEqual([1, 2, 0]);
  });

  it('is worth a little waiting for a long beginning, and hardly any for a short one', () => {
    const busy = (width: number) =>
      candidates([
        { width, room: true },
        { width: 0, room: true },
      ]);
    expect(choosePrefixed(busy(7), 1, 0, 100, [100, 0])).toBe(0);
    expect(choosePrefixed(busy(9), 1, 0, 100, [100, 0])).toBe(1);
    expect(choosePrefixed(busy(7), 1, 0, 100, [50, 0])).toBe(1);
    expect(choosePrefixed(busy(2), 1, 0, 1, [1, 0])).toBe(1);
  });
});

describe('the router by prefix', () => {
  const replicas = (count: number): (RoutedReplica & { width: number; epoch: number; room: boolean })[] =>
    Array.from({ length: count }, (_, at) => ({
      id: String(at),
      width: 0,
      epoch: 1,
      room: true,
      hasRoom() {
        return this.room;
      },
    }));
  const asking = (of: string) => ({ width: 1, beginning: () => text(of) });

  it('keeps conversations where they began, spreads others, and starts over after a restart', () => {
    const three = replicas(3);
    const router = new PrefixRouter();
    const first = ['a', 'b', 'c'].map((of) => router.choose(three, asking(of.repeat(3000))));
    expect(new Set(first).size).toBe(3);
    const again = ['c', 'a', 'b'].map((of) => router.choose(three, asking(`${of.repeat(3000)} and more`)));
    expect(again).toEqual([first[2], first[0], first[1]]);
    const home = three[first[0] as number] as (typeof three)[0];
    home.room = false;
    expect(router.choose(three, asking('a'.repeat(3000)))).not.toBe(first[0]);
    home.room = true;
    home.epoch += 1; // its cache is empty, and another has the prompt now
    expect(router.choose(three, asking('a'.repeat(3000)))).not.toBe(first[0]);
  });

  it('looks at no prompt for a single replica, nor while nobody has room', () => {
    const beginning = vi.fn(() => []);
    const router = new PrefixRouter();
    expect(router.choose(replicas(1), { width: 1, beginning })).toBe(0);
    const full = replicas(2).map((one) => Object.assign(one, { room: false }));
    expect(router.choose(full, { width: 1, beginning })).toBeNull();
    expect(beginning).not.toHaveBeenCalled();
  });
});
