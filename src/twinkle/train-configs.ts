/** What an adapter trains with, as text for people. Pure. */
import type { RunInfo } from '../training/types.js';
import type { AdapterState } from './adapter-state.js';

export function trainConfigs(state: AdapterState, { attn, lora, mlp, rank, unembed }: RunInfo): string {
  const { accumulation, loss, optimizer, processor, scheduler, template } = state;
  const parts = [attn && 'attention', mlp && 'mlp', unembed && 'output layer'].filter((part) => part !== false);
  const adapter =
    rank === 0
      ? 'all parameters of the model'
      : JSON.stringify({
          r: rank,
          lora_alpha: lora?.alpha ?? 32,
          lora_dropout: lora?.dropout ?? 0,
          target_modules: lora?.targets ?? parts.join(', '),
          use_rslora: lora?.rslora ?? false,
        });
  const lines = [
    `Adapter config: ${adapter}`,
    `Loss: ${loss.name} ${JSON.stringify(loss.config)}`,
    `Template: ${template?.name ?? 'none'}`,
    `Processor: ${processor?.name ?? 'none'}`,
    `Optimizer: ${optimizer?.name ?? 'none'}`,
    `Learning rate: ${optimizer?.lr ?? 'none'}`,
    `Lr scheduler: ${scheduler?.name ?? 'none'}`,
    `Gradient accumulation steps: ${accumulation}`,
  ];
  return `${lines.join('\n')}\n`;
}
