import { describe, expect, it } from 'vitest';
import { entry, inside, type Located, parseYaml, plain } from '../../../src/config/yaml-tree.js';

const parse = async (text: string): Promise<Located> => (await parseYaml(text, 'a.yaml')) as Located;

describe('places', () => {
  it('of a value is its key, of an item the item', async () => {
    const tree = await parse('a:\n  b:\n    - x\n    - c: 1\n');
    expect(plain(tree)).toEqual({ a: { b: ['x', { c: 1 }] } });
    expect(inside(tree, ['a', 'b'])?.origin).toEqual({ source: 'yaml', name: 'a.b', at: 'a.yaml:2:3' });
    expect(inside(tree, ['a', 'b', 0])?.origin).toMatchObject({ name: 'a.b[0]', at: 'a.yaml:3:7' });
    expect(inside(tree, ['a', 'b', 1, 'c'])?.origin).toMatchObject({ name: 'a.b[1].c', at: 'a.yaml:4:7' });
  });

  it.each([[['a', 'x']], [['a', 0]], [['x']], [['a', 'b', 5]], [['a', 'b', 0, 'deeper']]])(
    '%j is not there',
    async (path) => {
      expect(inside(await parse('a:\n  b: [1]\n'), path)).toBeNull();
    },
  );

  it('entry() is the whole where nothing was written', async () => {
    const tree = await parse('a: 1\n');
    expect(entry(tree, 'a').value).toBe(1);
    expect(entry(tree, 'b')).toBe(tree);
  });

  it('nothing is null', async () => {
    expect(await parseYaml('# nothing\n', 'a.yaml')).toBeNull();
  });
});

describe('aliases', () => {
  it('are what they name, at their own place', async () => {
    const tree = await parse('a: &x {b: 1}\nc: *x\n');
    expect(plain(tree)).toEqual({ a: { b: 1 }, c: { b: 1 } });
    expect(inside(tree, ['c'])?.origin).toMatchObject({ name: 'c', at: 'a.yaml:2:1' });
  });

  it('merge: what is written beside wins, the first of several wins', async () => {
    const tree = await parse('a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: 3\nd:\n  <<: *b\n');
    expect(plain(tree)).toMatchObject({ c: { x: 3, y: 1, z: 2 }, d: { y: 2, z: 2 } });
  });

  it.each([
    ['circles', 'a: &a [*a]\n', 'a.yaml:1:8: '],
    ['nobody', 'a: *b\n', 'a.yaml:1:4: '],
    ['no mapping', 'a: &a 1\nb:\n  <<: *a\n', 'a.yaml:3:3: '],
    ['a list as a key', '? [1]\n: 2\n', 'a.yaml:1:3: expected a name before the colon'],
    ['a key twice', 'a: 1\na: 2\n', 'a.yaml:2:1: '],
  ])('%s', async (_name, text, message) => {
    await expect(parse(text)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(message),
    });
  });

  it('that multiply are refused before they fill the memory', async () => {
    const lines = ['a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]'];
    for (let at = 1; at < 12; at++)
      lines.push(
        `a${at}: &a${at} [${Array(10)
          .fill(`*a${at - 1}`)
          .join(', ')}]`,
      );
    await expect(parse(lines.join('\n'))).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});
