import { describe, expect, test } from 'vitest';
import { type Column, layOut } from '../../../../src/cli/render/layout.js';
import type { Paint } from '../../../../src/cli/render/style.js';

const plain: Paint = (_, text) => text;
const marked: Paint = (format, text) => `<${String(format)}>${text}</>`;
interface Row {
  readonly a: string;
}
const columns: Column<Row>[] = [
  { head: 'NAME', cell: ({ a }) => a },
  { head: 'FIRST', cell: () => 'xxxxxxxxxx', drop: 1 },
  { head: 'SECOND', cell: () => 'yyyy', drop: 2 },
  { head: 'END', cell: () => '' },
];
const lay = (...names: string[]) =>
  names.map((a) => ({ cells: columns.map((column) => column.cell({ a })), below: [] as string[] }));

describe('layOut', () => {
  test('columns stand under their heads, wide characters too; no line ends in blanks', () => {
    expect(layOut(columns, lay('训练', 'abc'), null, plain)).toEqual({
      lines: ['NAME  FIRST       SECOND  END', '训练  xxxxxxxxxx  yyyy', 'abc   xxxxxxxxxx  yyyy'],
      hidden: [],
    });
  });

  test('columns give way by rank until the rest fits, and are told', () => {
    expect(layOut(columns, lay('abc'), 29, plain).hidden).toEqual([]);
    const narrow = layOut(columns, lay('abc'), 28, plain);
    expect(narrow).toEqual({ lines: ['NAME  FIRST       END', 'abc   xxxxxxxxxx'], hidden: ['SECOND'] });
    expect(layOut(columns, lay('abc'), 12, plain)).toEqual({
      lines: ['NAME  END', 'abc'],
      hidden: ['FIRST', 'SECOND'],
    });
    // What must stay stays, whatever the width.
    expect(layOut(columns, lay('abcdefghijkl'), 3, plain).lines[1]).toBe('abcdefghijkl');
  });

  test('colours go around the text and count for nothing; control characters are shown, not obeyed', () => {
    const cells = [{ text: 'ok\u001b[2J', format: 'green' as const }, 'b'];
    const two: Column<Row>[] = [
      { head: 'STATE', cell: () => '' },
      { head: 'B', cell: () => '' },
    ];
    expect(layOut(two, [{ cells, below: [{ text: 'why', format: 'red' }] }], null, marked).lines).toEqual([
      'STATE   B',
      '<green>ok\ufffd[2J</>  b',
      '    <red>why</>',
    ]);
  });

  test('lines below a row are wrapped to the width', () => {
    const { lines } = layOut(columns, [{ cells: ['n', '', '', ''], below: ['one two three four'] }], 14, plain);
    expect(lines.slice(2)).toEqual(['    one two', '      three', '      four']);
  });
});
