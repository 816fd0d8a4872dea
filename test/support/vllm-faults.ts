/** Requests to engine vllm that are at the client's fault: what is wrong, route, fields, and words of the answer. */
export const CHAT = '/v1/chat/completions';
const tool = (parameters: unknown) => ({ tools: [{ type: 'function', function: { name: 'f', parameters } }] });
const held = (structured_outputs: unknown) => ({ structured_outputs });
const long = 'word '.repeat(2000);

export const VLLM_FAULTS: readonly [what: string, url: string, fields: object, words: RegExp][] = [
  ['a grammar that is cut off', CHAT, held({ grammar: 'root ::= (' }), /grammar/i],
  ['a regular expression that is cut off', CHAT, held({ regex: '[a-' }), /regex/],
  ['look-behind', CHAT, held({ regex: '(?<=a)b' }), /look-around/],
  ['no choice', CHAT, held({ choice: [] }), /empty/],
  ['two constraints', CHAT, held({ regex: 'a', choice: ['a'] }), /one kind/],
  ['a number as constraint', CHAT, held(5), /type/],
  ['tools without a schema', CHAT, tool({ type: 7 }), /tools\[0\]\.function\.parameters/],
  [
    'a tool that is not there',
    CHAT,
    { ...tool({}), tool_choice: { type: 'function', function: { name: 'g' } } },
    /match/,
  ],
  ['a template of its own', CHAT, { chat_template: '{% for x in %}' }, /--trust-request-chat-template/],
  [
    'the same, relayed',
    CHAT,
    { chat_template: '{{ x }}', ...held({ choice: ['a'] }) },
    /--trust-request-chat-template/,
  ],
  ['a prompt over the context', CHAT, { messages: [{ role: 'user', content: long }] }, /512 tokens/],
  [
    'the same, relayed',
    CHAT,
    { messages: [{ role: 'user', content: long }], ...held({ choice: ['a'] }) },
    /512 tokens/,
  ],
  ['a text over the context', '/v1/completions', { prompt: long }, /512 tokens/],
  ['an input over the context', '/v1/responses', { input: long }, /512 tokens/],
  ['ten to the thirty tokens', CHAT, { max_tokens: 1e30 }, /max_tokens/],
  ['the same, relayed', CHAT, { max_tokens: 1e30, ...held({ choice: ['a'] }) }, /max_tokens/],
  ['a negative top_k', CHAT, { top_k: -2 }, /top_k/],
  ['no messages', CHAT, { messages: [] }, /empty/],
  ['a text for messages', CHAT, { messages: 'x' }, /messages/],
  [
    'an image',
    CHAT,
    { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:,' } }] }] },
    /multimodal/,
  ],
  ['a token of no vocabulary', '/v1/completions', { prompt: [1, 10 ** 6], ...held({ choice: ['a'] }) }, /vocabulary/],
  ['no input', '/v1/responses', {}, /input/],
  ['a token to read', '/detokenize', { tokens: [10 ** 7] }, /token ids/],
];
