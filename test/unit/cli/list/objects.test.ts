import { describe, expect, test } from 'vitest';
import { OBJECTS, objectColumns } from '../../../../src/cli/list/objects.js';
import { expectKnownFields, lines, object } from './fixtures.js';

describe('objects', () => {
  test('a row an object, with the processes that hold it', () => {
    const rows = [
      object(),
      object({ id: '2.1', where: 'spilled', bytes: 512, holders: [], owner: null, opens: 0 }),
      object({ id: '2.2', holders: [1, 2, 3, 4, 5, 6] }),
    ];
    expectKnownFields(OBJECTS, rows);
    expect(lines(OBJECTS, { rows, columns: objectColumns })).toEqual([
      'ID   STATE   SIZE     WHERE    HOLDERS     OWNER  OPEN',
      '1.9  sealed  2.0 GiB  slab     100,201     100    1',
      '2.1  sealed  512 B    spilled  -           -      0',
      '2.2  sealed  2.0 GiB  slab     1,2,3,4 +2  100    1',
    ]);
    expect(lines(OBJECTS, { rows, columns: objectColumns }, { filter: ['holders=201'] })).toHaveLength(2);
  });

  test('who waits for one, and where it is inside, has a column once there is such a one', () => {
    const rows = [object({ state: 'promised', bytes: 0, where: 'inline', waiters: 2, containedIn: 1 })];
    expect(lines(OBJECTS, { rows, columns: objectColumns })).toEqual([
      'ID   STATE     SIZE  WHERE   HOLDERS  OWNER  OPEN  WAITING  INSIDE',
      '1.9  promised  0 B   inline  100,201  100    1     2        1',
    ]);
  });
});
