/** The name of a product → the accelerator type that Ray users ask for (`H100`, `L40S`, `Ascend910B4`). Pure. */

/** Words of vendors and product lines that say nothing of the type. */
const NOISE = /\b(?:NVIDIA|Tesla|Quadro|GeForce|Graphics|Device|Huawei|Fake)\b/gi;

/** A word such as A100, H100, GB200, L40S, A10G, T4. */
const MODEL = /\b([A-Z]{1,2}\d{1,4}[A-Z]?)\b/;
const RTX = /\bRTX\s+(PRO\s+)?(A?\d{4})/i;
const ASCEND = /^(?:Ascend\s*)?((?:910|310|950)[\w]*)$/i;

/**
 * The type, or null when the name tells none.
 * @param kind of the device: names of NPUs may be bare numbers, such as `910B4`
 * @param name as the vendor's library says it: `NVIDIA H100 80GB HBM3`, `Tesla V100-SXM2-16GB`, `910B4`
 */
export function acceleratorTypeOf(kind: 'gpu' | 'npu', name: string): string | null {
  const plain = name.replace(NOISE, ' ').trim();
  if (kind === 'npu') {
    const chip = ASCEND.exec(plain)?.[1];
    return chip === undefined ? null : `Ascend${chip}`;
  }
  const rtx = RTX.exec(plain);
  if (rtx !== null) return `RTX-${rtx[1] === undefined ? '' : 'PRO-'}${rtx[2]}`;
  return MODEL.exec(plain)?.[1] ?? null;
}
