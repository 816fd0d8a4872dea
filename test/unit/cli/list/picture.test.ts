import { describe, expect, test } from 'vitest';
import { NODES, nodeColumns, nodeRows } from '../../../../src/cli/list/nodes.js';
import { drawJson, drawTable } from '../../../../src/cli/list/picture.js';
import { compileSelection } from '../../../../src/cli/list/selection.js';
import { cluster, node, plain } from './fixtures.js';

describe('news', () => {
  const of = (silentMs: number, state: 'alive' | 'dead' = 'alive', more = {}) => {
    const found = [cluster({ nodes: [node({ silentMs, state, ...more })] })];
    return { rows: nodeRows(found), columns: nodeColumns, notes: [], nothing: '' };
  };
  const all = compileSelection({}, NODES);
  test('time that passes is none, in JSON and in tables; a new state is', () => {
    const json = (...args: Parameters<typeof of>) => drawJson(NODES, of(...args), all).mark();
    expect(json(1)).toBe(json(500));
    expect(json(1)).not.toBe(json(1, 'dead'));
    expect(json(1)).not.toBe(json(1, 'alive', { labels: {} }));
    const table = (...args: Parameters<typeof of>) => drawTable(NODES, of(...args), all, plain).mark();
    expect(table(1)).toBe(table(900));
    expect(table(1)).not.toBe(table(1, 'dead'));
    // Labels are not in the table.
    expect(table(1)).toBe(table(1, 'alive', { labels: {} }));
  });

  test('JSON is one line with what the ledger said, unchanged', () => {
    const text = drawJson(NODES, of(123), all).text(null);
    expect(text.endsWith('\n')).toBe(true);
    expect(JSON.parse(text)).toEqual([{ ...node({ silentMs: 123 }), cluster: 'c1' }]);
  });
});
