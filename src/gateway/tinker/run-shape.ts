/** What a run trains, in the words of the protocol. Pure. */

/** @param rank of a LoRA; 0: the model's own parameters, and no LoRA */
export function shapeOf(rank: number): { readonly is_lora: boolean; readonly lora_rank: number | null } {
  return { is_lora: rank > 0, lora_rank: rank > 0 ? rank : null };
}
