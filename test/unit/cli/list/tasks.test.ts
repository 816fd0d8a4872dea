import { describe, expect, test } from 'vitest';
import { drawTable } from '../../../../src/cli/list/picture.js';
import { compileSelection } from '../../../../src/cli/list/selection.js';
import { TASKS, taskColumns, taskNotes } from '../../../../src/cli/list/tasks.js';
import { expectKnownFields, lines, plain, task } from './fixtures.js';

describe('tasks', () => {
  const rows = [
    task(),
    task({ id: '4.2', name: 'Counter.inc', kind: 'actor', state: 'WAITING', worker: null, pid: null, since: 60_000 }),
  ];

  test('a row a call, with the process that has it and the one that made it', () => {
    expectKnownFields(TASKS, rows);
    expect(lines(TASKS, { rows, columns: () => taskColumns(61_000) })).toEqual([
      'ID   NAME         KIND   STATE    AGE   WORKER  PID  CALLER PID',
      '1.7  job.square   task   RUNNING  60 s  3       201  100',
      '4.2  Counter.inc  actor  WAITING  1 s   -       -    100',
    ]);
    expect(lines(TASKS, { rows, columns: () => taskColumns(0) }, { state: ['waiting'] })).toHaveLength(2);
  });

  test('their ages alone are no news', () => {
    const mark = (nowMs: number, all = rows) => {
      const moment = { rows: all, columns: () => taskColumns(nowMs), notes: [], nothing: '' };
      return drawTable(TASKS, moment, compileSelection({}, TASKS), plain).mark();
    };
    expect(mark(1000)).toBe(mark(99_000));
    expect(mark(1000)).not.toBe(mark(1000, [task({ state: 'WAITING' })]));
  });

  test('who does not tell, or not all, is named', () => {
    const silent = [7, 8, 9].map((pid) => ({ pid, kind: 'worker' }));
    const notes = (count: number) => taskNotes({ tasks: [], silent: silent.slice(0, count), untold: [] });
    expect(notes(0)).toEqual([]);
    expect(notes(1)).toEqual(['pid 7 does not say what was called there: busy or stopped']);
    expect(notes(3)).toEqual(['3 processes do not say what was called there: busy or stopped (pids 7,8,9)']);
    expect(taskNotes({ tasks: [], silent: [], untold: [{ pid: 8, calls: 90_000 }] })).toEqual([
      'pid 8 has called 90000 more',
    ]);
  });
});
