/** The arguments of `vllm serve` by vLLM's own names: reads the tables of its parser and adds what is different here. Pure. */
import type { EngineArgSpec } from './args.js';
import { IGNORED_VLLM_ARGS, REFUSED_VLLM_ARGS } from './vllm-arg-rules.js';
import { VLLM_ENGINE_TABLE } from './vllm-engine-table.js';
import { VLLM_FRONTEND_TABLE } from './vllm-frontend-table.js';

/** Ranges that vLLM's parser does not have: known here, so that a start need not come to them. */
const RANGES: Readonly<Record<string, Pick<EngineArgSpec, 'min' | 'max'>>> = {
  gpu_memory_utilization: { min: 0.01, max: 1 },
  kv_cache_memory_bytes: { min: 1 },
  max_num_seqs: { min: 1 },
  max_num_batched_tokens: { min: 1 },
  max_loras: { min: 1 },
  block_size: { min: 1 },
};

/** `-O3` is rewritten by vLLM before its parser looks. */
const MORE_ALIASES: Readonly<Record<string, readonly string[]>> = { optimization_level: ['-O'] };

/** Argument (snake case) → what it takes. */
export const VLLM_ARGS: Readonly<Record<string, EngineArgSpec>> = Object.fromEntries(
  [VLLM_FRONTEND_TABLE, VLLM_ENGINE_TABLE].flatMap((table) => table.trim().split('\n').map(readLine)),
);

/** `name kind[:item] flag… key=a|b`; see `table_line` of list_arguments.py. */
function readLine(line: string): [string, EngineArgSpec] {
  const [flag = '', what = '', ...words] = line.split(' ');
  const name = flag.replaceAll('-', '_');
  const [kind, item] = what.split(':') as [EngineArgSpec['kind'], EngineArgSpec['item']];
  const values = (key: string): readonly string[] =>
    words
      .find((word) => word.startsWith(`${key}=`))
      ?.slice(key.length + 1)
      .split('|') ?? [];
  const choices = values('choices');
  const aliases = [...values('alias'), ...(MORE_ALIASES[name] ?? [])];
  const refused = REFUSED_VLLM_ARGS[name];
  const ignored = IGNORED_VLLM_ARGS[name];
  const spec: EngineArgSpec = {
    kind,
    help: `see vllm serve --help=${flag}`,
    ...(item === undefined ? {} : { item }),
    ...(choices.length > 0 ? { choices } : {}),
    ...(aliases.length > 0 ? { aliases } : {}),
    ...(kind === 'boolean' && !words.includes('negatable') ? { onlyTrue: true } : {}),
    ...Object.fromEntries(['suffixes', 'text', 'bare', 'none'].filter((word) => words.includes(word)).map(yes)),
    ...(refused === undefined ? {} : { refused }),
    ...(ignored === undefined ? {} : { ignored }),
    ...RANGES[name],
  };
  return [name, spec];
}

function yes(word: string): [string, true] {
  return [word, true];
}
