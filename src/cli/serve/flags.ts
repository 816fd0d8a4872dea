/** Reads commander's values of `serve` into the layer that the configuration merges. */
import type { Command } from 'commander';
import { isOptionKey, type OptionKey } from '../../config/options.js';
import type { Layer, Written } from '../../config/settings.js';
import { TwinkleError } from '../../errors.js';

/**
 * What was written on the command line.
 * @throws `USAGE` when the model is named twice or more words follow
 */
export function flagLayer(command: Command): Layer {
  const layer = new Map<OptionKey, Written>();
  for (const option of command.options) {
    const key = option.long?.slice(2) ?? '';
    const attribute = option.attributeName();
    if (!isOptionKey(key) || command.getOptionValueSource(attribute) !== 'cli') continue;
    const value: unknown = command.getOptionValue(attribute);
    layer.set(key, {
      value: option.negate ? value === false : value,
      origin: { source: 'flag', name: `--${key}`, at: null },
    });
  }
  const positional = command.name() === 'serve' ? command.args[0] : undefined;
  if (positional !== undefined) {
    if (layer.has('model')) {
      throw new TwinkleError('USAGE', `expected one model but received "${positional}" and \`--model\`; leave one out`);
    }
    layer.set('model', { value: positional, origin: { source: 'flag', name: 'MODEL', at: null } });
  }
  return layer;
}
