import { describe, expect, test } from 'vitest';
import { ACTORS, actorColumns, belowActor } from '../../../../src/cli/list/actors.js';
import { nodeNames } from '../../../../src/cli/list/groups.js';
import { drawTable } from '../../../../src/cli/list/picture.js';
import { compileSelection } from '../../../../src/cli/list/selection.js';
import { actor, cluster, expectKnownFields, lines, plain } from './fixtures.js';

const columns = () => actorColumns(nodeNames([cluster()]));

describe('actors', () => {
  test('a row an actor; the reason below one that waits or is dead', () => {
    const rows = [
      actor(),
      actor({ id: '1.1', name: '', state: 'PENDING', pid: null, node: null, reason: 'box: GPU 1 wanted\nother: down' }),
      actor({ id: '3.0', state: 'DEAD', restarts: 2, pid: null, resources: {}, reason: 'it was killed' }),
    ];
    expectKnownFields(ACTORS, rows);
    expect(lines(ACTORS, { rows, columns, below: belowActor })).toEqual([
      'ID   CLASS    NAME  NAMESPACE  STATE    RESTARTS  PID  NODE  RESOURCES',
      '1.0  Counter  c     default    ALIVE    0         200  box   GPU 0.5',
      '1.1  Counter  -     default    PENDING  0         -    -     GPU 0.5',
      '    box: GPU 1 wanted',
      '    other: down',
      '3.0  Counter  c     default    DEAD     2         -    box   nothing',
      '    it was killed',
    ]);
  });

  test('of the last words of a dead process the end is shown; of what is missing, all', () => {
    const reason = [
      'its process ended: exit code 1. Its last words:',
      ...Array.from({ length: 20 }, (_, n) => `l${n}`),
    ];
    const below = (state: 'DEAD' | 'PENDING') =>
      belowActor(actor({ state, reason: reason.join('\n') })).map((cell) =>
        typeof cell === 'string' ? cell : cell.text,
      );
    expect(below('DEAD')).toEqual([reason[0], '… 16 lines (--json has all)', 'l16', 'l17', 'l18', 'l19']);
    expect(below('PENDING')).toEqual(reason);
  });

  test('in 80 columns who it is, how it is and its process stay', () => {
    const rows = [actor({ class: 'A'.repeat(24), name: 'scheduler', state: 'RESTARTING' })];
    const shown = { rows, columns, notes: [], nothing: '' };
    const text = drawTable(ACTORS, shown, compileSelection({}, ACTORS), plain).text(80);
    expect(text).toMatch(/^ID {3}CLASS +NAME +STATE +RESTARTS +PID +RESOURCES\n.*\nno room for NAMESPACE, NODE/);
  });

  test('are chosen by what they hold', () => {
    const rows = [actor(), actor({ id: '1.1', resources: { 'node:x': 1 } })];
    const filter = (...text: string[]) => lines(ACTORS, { rows, columns }, { filter: text }).slice(1);
    expect(filter('resources.GPU=0.5')).toEqual([expect.stringMatching(/^1\.0 /)]);
    expect(filter('resources.node:x=1', 'pid=200')).toEqual([expect.stringMatching(/^1\.1 /)]);
  });
});
