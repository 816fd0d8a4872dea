"""The wire's sampling parameters → vLLM's. Pure but for vLLM's own class."""

from __future__ import annotations

from vllm.sampling_params import RequestOutputKind
from vllm.sampling_params import SamplingParams as VllmSampling

from ...protocol import GenerateParams


class OneUse(VllmSampling):
    """Parameters that were made for one request: vLLM copies what it is given, deeply, before it fills in defaults."""

    def clone(self) -> OneUse:
        return self


def to_vllm(params: GenerateParams, max_tokens: int) -> VllmSampling:
    """Parameters of one request; outputs come as deltas."""
    wanted = params.sampling
    return OneUse(
        n=params.n,
        max_tokens=max_tokens,
        min_tokens=wanted.min_tokens,
        temperature=wanted.temperature,
        top_p=wanted.top_p,
        top_k=wanted.top_k,
        min_p=wanted.min_p,
        seed=wanted.seed,
        stop=wanted.stop or None,
        stop_token_ids=wanted.stop_token_ids or None,
        include_stop_str_in_output=wanted.include_stop_str_in_output,
        ignore_eos=wanted.ignore_eos,
        skip_special_tokens=wanted.skip_special_tokens,
        presence_penalty=wanted.presence_penalty,
        frequency_penalty=wanted.frequency_penalty,
        repetition_penalty=wanted.repetition_penalty,
        logit_bias=dict(wanted.logit_bias) or None,
        logprobs=wanted.logprobs,
        prompt_logprobs=wanted.prompt_logprobs,
        output_kind=RequestOutputKind.DELTA,
    )
