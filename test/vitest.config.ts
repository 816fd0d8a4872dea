/** Suites: `unit` mirrors src and needs no Python; the others start real ranks. `long` is run by hand (`npm run test:long`). */
import { defineConfig } from 'vitest/config';

const suite = (name: string, timeout: number, parallel: boolean) => ({
  extends: true as const,
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: timeout,
    hookTimeout: timeout,
    fileParallelism: parallel,
  },
});

export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      suite('unit', 20_000, true),
      suite('contract', 60_000, false),
      suite('integration', 120_000, false),
      suite('e2e', 300_000, false),
      suite('long', 3_600_000, false),
    ],
  },
});
