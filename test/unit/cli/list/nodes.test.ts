import { describe, expect, test } from 'vitest';
import { NODES, nodeColumns, nodeRows } from '../../../../src/cli/list/nodes.js';
import type { Paint } from '../../../../src/cli/render/style.js';
import { cluster, expectKnownFields, lines, node } from './fixtures.js';

describe('nodes', () => {
  const two = [
    cluster({
      nodes: [
        node(),
        node({
          id: 'node-2',
          name: 'npus',
          state: 'dead',
          silentMs: 95_000,
          resources: { CPU: 4, NPU: 8 },
          available: {},
        }),
        node({
          id: 'node-3',
          name: 'odd',
          state: 'draining',
          resources: { CPU: 1, licence: 2 },
          available: { CPU: 1, licence: 2 },
        }),
      ],
    }),
    cluster({ cluster: 'c2', nodes: [node({ id: 'node-9', name: 'own' })] }),
  ];

  test('used and in all, by resource; only columns that somebody has', () => {
    const rows = nodeRows(two);
    expectKnownFields(NODES, rows);
    expect(lines(NODES, { rows, columns: nodeColumns })).toEqual([
      'NAME  ID      ADDRESS        STATE     CPU   GPU    NPU  MEMORY        OTHER        HEARD      VERSION  CLUSTER',
      'box   node-1  10.0.0.1:6379  alive     2/16  1.5/2  -    4.0/64.0 GiB  -            0.3 s ago  0.1.0    c1',
      'npus  node-2  10.0.0.1:6379  dead      4/4   -      8/8  -             -            95 s ago   0.1.0    c1',
      'odd   node-3  10.0.0.1:6379  draining  0/1   -      -    -             licence 0/2  0.3 s ago  0.1.0    c1',
      'own   node-9  10.0.0.1:6379  alive     2/16  1.5/2  -    4.0/64.0 GiB  -            0.3 s ago  0.1.0    c2',
    ]);
    const cpuOnly = nodeRows([cluster({ nodes: [node({ resources: { CPU: 2 }, available: { CPU: 2 } })] })]);
    expect(lines(NODES, { rows: cpuOnly, columns: nodeColumns })[0]).toBe(
      'NAME  ID      ADDRESS        STATE  CPU  HEARD      VERSION',
    );
  });

  test('a state has a colour: well, doubtful, gone', () => {
    const marked: Paint = (format, text) => `${String(format)}(${text})`;
    const text = lines(NODES, { rows: nodeRows(two), columns: nodeColumns }, {}, marked).join('\n');
    for (const word of ['green(alive)', 'red(dead)', 'yellow(draining)']) expect(text).toContain(word);
  });

  test('filters go by the JSON, and an empty table says why', () => {
    const shown = { rows: nodeRows(two), columns: nodeColumns };
    expect(lines(NODES, shown, { state: ['dead'] })).toHaveLength(2);
    expect(lines(NODES, shown, { filter: ['resources.GPU=2'] })).toHaveLength(3);
    expect(lines(NODES, shown, { filter: ['labels.ray.io/zone=a', 'cluster!=c1'] })[1]).toMatch(/^own /);
    expect(lines(NODES, shown, { filter: ['name=nobody'] })).toEqual(['none of 4 nodes matches']);
    expect(lines(NODES, { ...shown, rows: [] })).toEqual(['nothing at all']);
    expect(lines(NODES, shown, { limit: '1' }).slice(2)).toEqual(['… 3 more (--limit 1)']);
    expect(lines(NODES, shown, { limit: '4' })).toHaveLength(5);
  });
});
