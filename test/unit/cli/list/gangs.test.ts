import { describe, expect, test } from 'vitest';
import { belowGang, GANGS, gangColumns, gangRows } from '../../../../src/cli/list/gangs.js';
import { expectKnownFields, lines, model, replica, server } from './fixtures.js';

describe('gangs', () => {
  const broken = model({
    names: ['other'],
    reason: 'rank 1 was killed',
    replicas: [
      replica({ id: 'other/0' }),
      replica({ id: 'other/1', state: 'restarting', restarts: 2, group: 'group-1' }),
    ],
  });

  test('a row a replica; the reason below the one that does not serve', () => {
    const rows = gangRows([server({ models: [model(), broken] })]);
    expectKnownFields(GANGS, rows);
    expect(lines(GANGS, { rows, columns: gangColumns, below: belowGang })).toEqual([
      'MODEL  REPLICA  STATE       RANKS  PIDS  DEVICES      RESTARTS  IN FLIGHT  GROUP',
      'm      m/0      ready       2      100   GPU-a,GPU-b  0         3          -',
      'other  other/0  ready       2      100   GPU-a,GPU-b  0         3          -',
      'other  other/1  restarting  2      100   GPU-a,GPU-b  2         3          group-1',
      '    rank 1 was killed',
    ]);
    expect(rows[2]).toMatchObject({
      instance: 'serve1',
      model: 'other',
      reason: 'rank 1 was killed',
      group: 'group-1',
    });
  });

  test('several servers are told apart; groups have no column where nobody has one', () => {
    const rows = gangRows([server(), server({ instance: 'serve2' })]);
    const [head, , second] = lines(GANGS, { rows, columns: gangColumns });
    expect(head).toMatch(/IN FLIGHT {2}SERVER$/);
    expect(second).toMatch(/serve2$/);
    expect(lines(GANGS, { rows, columns: gangColumns }, { filter: ['ranks.pid=100', 'instance=serve2'] })).toHaveLength(
      2,
    );
  });
});
