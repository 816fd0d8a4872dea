/** How the LoRA of a run is made of which nothing is said: as Tinker's are. */
import type { LoraOptions } from './types.js';

export const PLAIN_LORA: LoraOptions = { alpha: 32, dropout: 0, targets: null, rslora: false, init: 'default' };
