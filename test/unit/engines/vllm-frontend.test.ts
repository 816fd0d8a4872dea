/** Every argument of vLLM's frontend has its place: nothing is taken and then ignored. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { IGNORED_VLLM_ARGS, REFUSED_VLLM_ARGS } from '../../../src/engines/vllm-arg-rules.js';
import { VLLM_ARGS } from '../../../src/engines/vllm-args.js';
import { VLLM_FRONTEND_TABLE } from '../../../src/engines/vllm-frontend-table.js';

/** Where an argument that is passed on takes effect. */
const EFFECT: Readonly<Record<string, readonly string[]>> = {
  'all chats are vLLM’s to answer': ['response-role'],
  'all chats and completions are': [
    'enable-force-include-usage',
    'enable-log-requests',
    'enable-per-request-metrics',
    'return-tokens-as-token-ids',
  ],
  'the log of those, which enable-log-requests switches on': ['enable-log-deltas', 'enable-log-outputs', 'max-log-len'],
  'answers of Node have it': [
    'chat-template',
    'chat-template-content-format',
    'cohere-format',
    'default-chat-template-kwargs',
    'enable-prompt-tokens-details',
    'fingerprint-mode',
    'fingerprint-value',
    'trust-request-chat-template',
  ],
  'requests with tools, which are vLLM’s': [
    'enable-auto-tool-choice',
    'exclude-tools-when-tool-choice-none',
    'tool-call-parser',
    'tool-parser-plugin',
    'tool-strict-level',
  ],
  'requests with images, which are vLLM’s': ['trust-request-mm-kwargs'],
  'routes that only vLLM has': [
    'anthropic-disabled-thinking-effort',
    'cohere-is-reasoning-model',
    'enable-flash-late-interaction',
    'enable-scale-out',
    'enable-tokenizer-info-endpoint',
    'tool-server',
  ],
  'what vLLM logs of its own refusals': ['log-error-stack'],
  'the start, adapters, metrics and kernels': [
    'disable-log-stats',
    'fail-on-environ-validation',
    'gdn-prefill-backend',
    'kda-decode-backend',
    'kda-prefill-backend',
    'lora-modules',
  ],
};

const flags = VLLM_FRONTEND_TABLE.trim()
  .split('\n')
  .map((line) => line.split(' ')[0] ?? '');
const passedOn = Object.values(EFFECT).flat();

test.each(flags)('%s has exactly one place', (flag) => {
  const name = flag.replaceAll('-', '_');
  const places = [name in REFUSED_VLLM_ARGS, name in IGNORED_VLLM_ARGS, passedOn.includes(flag)];
  expect(places.filter(Boolean)).toHaveLength(1);
});

test('no place is for what is no argument', () => {
  expect(passedOn.filter((flag) => !flags.includes(flag))).toEqual([]);
});

test('what makes answers vLLM’s is what the engine looks at', () => {
  const source = readFileSync('python-workers/twinkle_worker/engines/vllm/own_answers.py', 'utf8');
  const named = [...source.matchAll(/^ {4}"(\w+)": /gm)].map(([, name = '']) => name);
  for (const name of named) expect(VLLM_ARGS, name).toHaveProperty(name);
  const [chats = [], both = []] = Object.values(EFFECT);
  const ofFrontend = named.map((name) => name.replaceAll('_', '-')).filter((flag) => flags.includes(flag));
  expect(ofFrontend.sort()).toEqual([...chats, ...both].sort());
});
