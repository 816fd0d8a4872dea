// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of OmegaConf look like templates
import { describe, expect, it } from 'vitest';
import { interpolate } from '../../../../src/config/twinkle/interpolation.js';
import { inside, type Located, parseYaml, plain } from '../../../../src/config/yaml-tree.js';

const ENV = { PORT: '9000', EMPTY: '' };
const resolve = async (yaml: string): Promise<Located> =>
  interpolate((await parseYaml(yaml, 'a.yaml')) as Located, ENV);

it.each([
  ['another value, of its kind', 'a: 7\nb: ${a}\n', { b: 7 }],
  ['a whole block', 'a: {x: [1, 2]}\nb: ${a}\n', { b: { x: [1, 2] } }],
  ['an item', 'a: [{x: 5}]\nb: ${a[0].x}\nc: ${a.0.x}\n', { b: 5, c: 5 }],
  ['beside it', 'a: {x: 1, y: "${.x}"}\n', { a: { x: 1, y: 1 } }],
  ['one level up', 'x: 3\na: {y: "${..x}"}\n', { a: { y: 3 } }],
  ['beside it in an item', 'a: [{x: 1, y: "${.x}"}]\n', { a: [{ x: 1, y: 1 }] }],
  ['within text', 'host: h\nport: 1\nb: http://${host}:${port}/\n', { b: 'http://h:1/' }],
  ['of a reference', 'a: 1\nb: ${a}\nc: ${b}\n', { c: 1 }],
  ['an escaped one', 'b: \\${a} and \\${oc.env:X}\n', { b: '${a} and ${oc.env:X}' }],
  ['a variable', 'b: ${oc.env:PORT}\n', { b: '9000' }],
  ['an empty variable is set', 'b: ${oc.env:EMPTY,x}\n', { b: '' }],
  [
    'a default',
    'b: ${oc.env:NOPE,8000}\nc: "${oc.env:NOPE, \'a,  b\'}"\nd: ${oc.env:NOPE,null}\n',
    { b: '8000', c: 'a,  b', d: null },
  ],
])('%s', async (_name, yaml, expected) => {
  expect(plain(await resolve(yaml))).toMatchObject(expected);
});

it.each([
  ['nothing', 'b: ${a}\n', 'a.yaml:1:1: `b`: `${a}` refers to nothing in this file'],
  ['nothing near', 'host: 1\nb: ${hots}\n', 'did you mean `host`?'],
  ['itself', 'b: ${b}\n', 'refers to itself'],
  ['in circles', 'a: ${b}\nb: x${a}\n', 'refers to itself'],
  ['what it is part of', 'a: {b: "${a}"}\n', 'refers to what it is a part of'],
  ['a variable that is not set', 'b: ${oc.env:NOPE}\n', 'NOPE is not set; set it, or write ${oc.env:NOPE,default}'],
  ['another resolver', 'b: ${oc.decode:x}\n', 'of resolvers there is oc.env'],
  ['within a reference', 'a: 1\nb: x${oc.env:NOPE,${a}}\n', 'references within references'],
  ['a block within text', 'a: {x: 1}\nb: x${a}\n', '`${a}` is no single value'],
])('%s', async (_name, yaml, message) => {
  await expect(resolve(yaml)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining(message),
  });
});

it('references that multiply are refused before they fill the memory', async () => {
  const lines = ['a0: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]'];
  for (let at = 1; at < 10; at++)
    lines.push(
      `a${at}: [${Array(10)
        .fill(`"\${a${at - 1}}"`)
        .join(', ')}]`,
    );
  await expect(resolve(lines.join('\n'))).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('references make more than 100000 values'),
  });
});

describe('origins', () => {
  it('are those of what was referred to, and of variables', async () => {
    const tree = await resolve('a: 1\nb: ${a}\nc: ${oc.env:PORT}\nd: p${oc.env:PORT}\n');
    expect(inside(tree, ['b'])?.origin.at).toBe('a.yaml:1:1');
    expect(inside(tree, ['c'])?.origin).toEqual({ source: 'env', name: 'PORT', at: 'a.yaml:3:1' });
    expect(inside(tree, ['d'])?.origin).toEqual({ source: 'env', name: 'PORT', at: 'a.yaml:4:1' });
  });
});
