import { describe, expect, it } from 'vitest';
import { checkSamplable } from '../../../src/runtime/samplable-run.js';

const refusal = (
  engineArgs: Record<string, unknown>,
  rank: number,
  unembed = false,
  engine = 'vllm' as const,
): string => {
  try {
    checkSamplable({ engine, engineArgs, servedNames: ['m', 'alias'] }, { rank, unembed });
    return '';
  } catch (error) {
    expect(error).toMatchObject({ code: 'UNSUPPORTED_PARAMETER', status: 400 });
    return String(error);
  }
};

describe('a rank', () => {
  it('is over what vLLM was started with: that names the value that would do', () => {
    expect([1, 16].map((rank) => refusal({}, rank))).toEqual(['', '']);
    expect(refusal({}, 17)).toContain(
      'model `m` samples from ranks up to 16, so never from a run of rank 17: start the server with --max-lora-rank 32',
    );
    expect(refusal({ max_lora_rank: 64 }, 64)).toBe('');
    expect(refusal({ max_lora_rank: 64 }, 65)).toContain('up to 64, so never from a run of rank 65');
    expect(refusal({ max_lora_rank: 256 }, 257)).toContain('--max-lora-rank 320');
    expect(refusal({}, 513)).toContain('take a rank of at most 512 (--max-lora-rank)');
  });

  it('has no limit in other engines, and full training has none', () => {
    checkSamplable({ engine: 'transformers', engineArgs: {}, servedNames: ['m'] }, { rank: 1000, unembed: true });
    expect(refusal({ lora_target_modules: ['q_proj'] }, 0, true)).toBe('');
  });
});

describe('an adapter of the output layer', () => {
  it('is left out by --lora-target-modules: that names how to train without it', () => {
    const targets = { lora_target_modules: ['q_proj', 'v_proj'] };
    expect(refusal(targets, 8, true)).toMatch(/--lora-target-modules q_proj v_proj\): create .*train_unembed=False/);
    expect(refusal(targets, 8, false)).toBe('');
    expect(refusal({ lora_target_modules: ['q_proj', 'lm_head'] }, 8, true)).toBe('');
    expect(refusal({}, 8, true)).toBe('');
  });
});
