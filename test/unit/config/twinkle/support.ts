/** Compiling the text of a Twinkle Server's file as the commands do. */
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CompiledTwinkle, compileTwinkle } from '../../../../src/config/twinkle/compile.js';
import { engineArgs } from '../../../../src/runtime/read-twinkle.js';

export function compile(text: string, env: Readonly<Record<string, string>> = {}): Promise<CompiledTwinkle> {
  return compileTwinkle({ text, path: 's.yaml', env, resolve: (path) => resolve('/base', path), engineArgs });
}

const FOLDER = fileURLToPath(new URL('../../../fixtures/twinkle/', import.meta.url));

/** Files of the documents and of the peer: name → text. */
export const FIXTURES: ReadonlyMap<string, string> = new Map(
  readdirSync(FOLDER)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => [name, readFileSync(`${FOLDER}${name}`, 'utf8')]),
);

/** One model application with these lines in its `args`, and these lines at the top. */
export const model = (args = '', top = ''): string => `${top}
applications:
  - name: m
    route_prefix: /api/v1/model/a/b
    import_path: model
    args:
      model_id: a/b
      device_group: {name: g, ranks: 2, device_type: cuda}
      device_mesh: {dp_size: 2}
      nproc_per_node: 2
${args.replaceAll(/^/gm, '      ')}
`;

/** The first application of the file. */
export const first = async (yaml: string, env = {}) => (await compile(yaml, env)).config.applications[0];

/** Code and message of what is wrong with it. */
export const refusal = async (yaml: string): Promise<string> =>
  await compile(yaml).then(
    () => '(fine)',
    (error: { code: string; message: string }) => `${error.code} ${error.message}`,
  );

/** One sampler application of vLLM. */
export function sampler(group: string, mesh = 'dp_size: 4', args = ''): string {
  return `applications:
  - name: s
    import_path: sampler
    args:
      model_id: a/b
      sampler_type: vllm
      nproc_per_node: 2
      engine_args: {${args}}
      device_group: {name: g, ${group}}
      device_mesh: {${mesh}}
`;
}
