import { expect, test } from 'vitest';
import { mergeClusters } from '../../../../src/cli/list/gather.js';
import { cluster } from './fixtures.js';

test('members of one cluster are shown once: the newest truth, told by the head', () => {
  const old = cluster({ cluster: 'h', epoch: 2, version: 9 }, { instance: 'serve1' });
  const head = cluster({ cluster: 'h', epoch: 2, version: 8 }, { kind: 'head', instance: 'head1' });
  const lagging = cluster({ cluster: 'h', epoch: 1, version: 50 }, { instance: 'serve2' });
  const own = cluster({ cluster: 'o' }, { instance: 'serve3' });
  for (const order of [
    [old, head, lagging, own],
    [lagging, head, old, own],
    [head, lagging, old, own],
  ]) {
    expect(
      mergeClusters(order).map(({ snapshot, teller }) => [snapshot.cluster, snapshot.version, teller.instance]),
    ).toEqual([
      ['h', 9, 'head1'],
      ['o', 1, 'serve3'],
    ]);
  }
});
