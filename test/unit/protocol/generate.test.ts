import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { expect, it } from 'vitest';
import { generatePython } from '../../../src/protocol/generate.js';

it.each(generatePython().map(({ file, text }) => [basename(file), file, text]))(
  '%s is what the schemas say (else: npm run generate)',
  (_name, file, text) => {
    expect(readFileSync(file, 'utf8')).toBe(text);
  },
);
