/** Objects whose bytes were on a box that has left: copies stay, and what is made again counts. */
import { describe, expect, it } from 'vitest';
import { HERE } from '../../../src/actors/object-desk.js';
import { largeValue, NEVER, PlayedSource, SpillingKit } from './spilling-kit.js';

const [A, B] = [1, 2];
const SIZE = 64 * 1024;

class MortalSource extends PlayedSource {
  lost = false;

  isLost(): boolean {
    return this.lost;
  }
}

/** Room for three objects. */
function open(): SpillingKit {
  const kit = new SpillingKit({ capacity: 3 * SIZE });
  for (const client of [A, B]) kit.desk.joined(client);
  return kit;
}

async function expectNothingLeft(kit: SpillingKit, ...sources: readonly PlayedSource[]): Promise<void> {
  for (const client of [A, B]) kit.desk.gone(client);
  await kit.desk.settled();
  expect(kit.desk.status()).toMatchObject({ objects: 0, usedBytes: 0, spilledBytes: 0, awayBytes: 0 });
  expect([kit.filesLeft, ...sources.map(({ removals }) => removals)]).toEqual([0, ...sources.map(() => 1)]);
}

describe('an object whose box has left', () => {
  it('has the value of whoever makes it again, here', async () => {
    await using kit = open();
    const source = new MortalSource(SIZE, 'a');
    kit.putAway(A, '1.1', source);
    await kit.put(B, '1.1', SIZE, 'x');
    expect(kit.where()).toEqual({ '1.1': 'away' }); // it had its value
    source.lost = true;
    expect(kit.desk.isLost('1.1')).toBe(true);
    await kit.put(B, '1.1', SIZE, 'x');
    expect([kit.desk.isLost('1.1'), source.removals, await kit.open(A, '1.1')]).toEqual([false, 1, 'x']);
    await expectNothingLeft(kit, source);
  });

  it('has it on a third box', async () => {
    await using kit = open();
    const [first, second] = [new MortalSource(SIZE, 'a'), new MortalSource(SIZE, 'b')];
    kit.putAway(A, '1.1', first);
    first.lost = true;
    expect(kit.putAway(B, '1.1', second)).toBe('stored');
    expect([first.removals, kit.desk.status().awayBytes, await kit.open(A, '1.1')]).toEqual([1, SIZE, 'b']);
    await expectNothingLeft(kit, first, second);
  });

  it('is here for other boxes, and goes to disk, where it had been read', async () => {
    await using kit = open();
    const source = new MortalSource(SIZE, 'a');
    kit.putAway(A, '1.1', source);
    await kit.open(A, '1.1');
    kit.close(A, '1.1');
    source.lost = true;
    expect(await kit.desk.find(B, '1.1', 'other', NEVER)).toMatchObject({ node: HERE });
    for (const at of [1, 2, 3]) await kit.put(B, `2.${at}`, SIZE, 'z');
    expect(kit.where()).toMatchObject({ '1.1': 'spilled' });
    expect([source.removals, source.reads, await kit.open(A, '1.1')]).toEqual([1, 1, 'a']);
    await expectNothingLeft(kit, source);
  });

  it('keeps what the new value contains, and lets go of what the old one did', async () => {
    await using kit = open();
    for (const id of ['2.1', '2.2', '2.3']) await kit.put(B, id, SIZE, 'i');
    const [first, second] = [new MortalSource(SIZE, 'a'), new MortalSource(SIZE, 'b')];
    const seal = (source: PlayedSource, ...refs: string[]) =>
      kit.desk.sealAway(A, { id: '1.1', value: largeValue('1.1', SIZE, refs), holders: [A] }, source);
    seal(first, '2.1', '2.2');
    kit.drop(B, '2.1', '2.2');
    first.lost = true;
    seal(second, '2.2', '2.3');
    kit.drop(B, '2.3');
    expect(['2.1', '2.2', '2.3'].map((id) => kit.desk.knows(id))).toEqual([false, true, true]);
    await expectNothingLeft(kit, first, second);
  });
});
