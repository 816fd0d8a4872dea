import { describe, expect, test } from 'vitest';
import { belowGroup, GROUPS, groupColumns, groupRows, nodeNames } from '../../../../src/cli/list/groups.js';
import { cluster, expectKnownFields, GIB, group, lines } from './fixtures.js';

describe('placement groups', () => {
  const waiting = group({
    id: 'group-2',
    name: '',
    state: 'PENDING',
    scheduling: 'NO_RESOURCES',
    position: 3,
    attempts: 2,
    owner: null,
    lifetime: 'detached',
    reason: 'box: GPU 1 is held\nnpus: no GPU',
    bundles: [
      {
        index: 0,
        resources: { GPU: 0.5, memory: 2 * GIB },
        node: 'node-1',
        devices: [{ resource: 'GPU', instance: 1, uuid: 'GPU-x', quantity: 0.5 }],
      },
      { index: 1, resources: { CPU: 1 }, node: null, devices: [] },
      { index: 2, resources: { CPU: 1 }, node: 'gone', devices: [] },
    ],
  });
  const found = [cluster({ groups: [group(), waiting] })];
  const shown = (detail: boolean) => {
    const nameOf = nodeNames(found);
    return {
      rows: groupRows(found),
      columns: (rows: Parameters<typeof groupColumns>[0]) => groupColumns(rows, nameOf, 65_000),
      below: (row: Parameters<typeof belowGroup>[0]) => belowGroup(row, nameOf, detail),
    };
  };

  test('where they are, how old, whose; and why one waits', () => {
    expectKnownFields(GROUPS, groupRows(found));
    expect(lines(GROUPS, shown(false))).toEqual([
      'ID       NAME  NAMESPACE  STRATEGY  STATE    SCHEDULING    BUNDLES  NODES     AGE   OWNER',
      'group-1  llm   default    PACK      CREATED  FINISHED      1/1      box       65 s  session-1',
      'group-2  -     default    PACK      PENDING  NO_RESOURCES  2/3      box,gone  65 s  detached',
      '    place 4 in the queue, 2 attempts: box: GPU 1 is held',
      '    npus: no GPU',
    ]);
  });

  test('--detail: each bundle, its node and devices', () => {
    expect(lines(GROUPS, shown(true)).slice(-4)).toEqual([
      '    BUNDLE  RESOURCES                NODE  DEVICES',
      '    0       GPU 0.5, memory 2.0 GiB  box   GPU 1 ×0.5 (GPU-x)',
      '    1       CPU 1                    -     -',
      '    2       CPU 1                    gone  -',
    ]);
  });

  test('filters reach into bundles', () => {
    expect(lines(GROUPS, shown(false), { filter: ['bundles.node=gone'] })[1]).toMatch(/^group-2/);
    expect(lines(GROUPS, shown(false), { filter: ['bundles.devices.uuid!=GPU-x'] })[1]).toMatch(/^group-1/);
    expect(lines(GROUPS, shown(false), { filter: ['scheduling=INFEASIBLE'] })).toEqual([
      'none of 2 placement groups matches',
    ]);
  });

  test('leases are not among them, and rows have no kind', () => {
    const rows = groupRows([cluster({ groups: [group({ id: 'lease-1', kind: 'lease' }), group()] })]);
    expect(rows.map(({ id }) => id)).toEqual(['group-1']);
    expect(rows[0]).not.toHaveProperty('kind');
  });
});
