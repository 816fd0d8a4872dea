/** `--lora-modules`, as the engines get them. */
import { expect, it } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { fixedAdapters, withFetchedModules } from '../../../src/runtime/fixed-adapters.js';
import type { BucketAdapters } from '../../../src/serving/bucket/bucket-adapters.js';
import { modelConfig } from '../../support/model-config.js';

/** Fetches all but what is called `none`. */
const buckets = {
  localise: async (name: string, _path: string, param: string) => {
    if (name === 'none') throw new TwinkleError('MODEL_NOT_FOUND', 'there is none', { param });
    return { path: `/fetched/${name}`, release: () => {} };
  },
} as unknown as BucketAdapters;

const modules = (lora_modules: unknown) => modelConfig({ engineArgs: { max_loras: 2, lora_modules } });

it('puts folders in place of buckets and leaves the rest as it is', async () => {
  const written = [
    'a=s3://b/a',
    'c=/a/folder',
    '{"name": "d", "path": "s3://b/d", "base_model_name": "m"}',
    'nonsense',
  ];
  const { engineArgs } = await withFetchedModules(modules(written), buckets);
  expect(engineArgs).toEqual({
    max_loras: 2,
    lora_modules: ['a=/fetched/a', 'c=/a/folder', '{"name":"d","path":"/fetched/d","base_model_name":"m"}', 'nonsense'],
  });
  expect(fixedAdapters(engineArgs.lora_modules).map(({ path }) => path)).toContain('/fetched/d');
  expect((await withFetchedModules(modules('a=s3://b/a'), buckets)).engineArgs.lora_modules).toEqual(['a=/fetched/a']);
  const local = modules(['c=/a/folder']);
  expect(await withFetchedModules(local, buckets)).toBe(local);
  expect(await withFetchedModules(modelConfig(), buckets)).toEqual(modelConfig());
});

it('an adapter that does not come ends the start', async () => {
  const none = withFetchedModules(modules(['none=s3://b/none']), buckets);
  await expect(none).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND', param: 'lora_modules' });
});
