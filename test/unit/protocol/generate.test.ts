import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { generatePython, PYTHON_FILE } from '../../../src/protocol/generate.js';

it('protocol.py is what the schemas say (else: npm run generate)', () => {
  expect(readFileSync(PYTHON_FILE, 'utf8')).toBe(generatePython());
});
