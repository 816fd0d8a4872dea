/** Looks at model folders before any Python runs: what vLLM would refuse after a minute is refused in the first moment. */
import type { ModelConfig, OfferedDevice } from '../config/types.js';
import { readModelFacts } from '../engines/model-facts.js';
import { checkMemory, checkSplit } from '../engines/model-fit.js';
import type { DeviceReport } from '../native/types.js';

/**
 * Check the models that engine vllm serves from folders.
 * @param offered devices that this machine offers; none: ranks run on CPUs or elsewhere, and memory is not looked at
 * @throws `CONFIG_INVALID`
 */
export async function checkModels(
  models: readonly ModelConfig[],
  offered: readonly OfferedDevice[],
  devices: () => Promise<DeviceReport>,
): Promise<void> {
  for (const model of models) {
    if (model.engine !== 'vllm') continue;
    const facts = readModelFacts(model.model);
    if (facts === null) continue;
    checkSplit(facts, model);
    const memory = model.placement.accelerator === null ? null : smallestMemory(offered, await devices());
    if (memory !== null) checkMemory(facts, model, memory);
  }
}

/** Bytes of the smallest device; null when there is none, or when the vendor's library does not say. */
function smallestMemory(offered: readonly OfferedDevice[], { devices }: DeviceReport): number | null {
  const sizes = offered.map(({ uuid }) => devices.find((device) => device.uuid === uuid)?.memoryTotalBytes ?? 0);
  const smallest = Math.min(...sizes);
  return sizes.length === 0 || smallest <= 0 ? null : smallest;
}
