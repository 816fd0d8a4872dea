import { expect, it } from 'vitest';
import { compileTwinkle } from '../../../../src/config/twinkle/compile.js';
import { notYet } from '../../../../src/config/twinkle/not-yet.js';

const compiled = async (text: string) => {
  const source = { text, path: 's.yaml', env: {}, resolve: (path: string) => path, engineArgs: () => ({}) };
  return (await compileTwinkle(source)).config;
};

it('says what a start would pass over in silence, and nothing of what it does', async () => {
  const all = await compiled(
    'applications: [{name: p, import_path: processor, args: {}}]\npersistence: {mode: file, file_path: /tmp/x}\ntelemetry: {enabled: true}',
  );
  expect(notYet(all)).toEqual([
    'application "p": processors do not run on the server yet; clients prepare their data themselves',
    '`persistence`: mode file is not here yet; state is kept in the home folder, and survives a restart there',
    '`telemetry`: nothing is pushed yet; metrics are at /metrics',
  ]);
  expect(notYet(await compiled('applications: [{name: s, import_path: server}]'))).toEqual([]);
});
