"""The wire contract, generated from src/protocol by `npm run generate`: do not edit."""

from __future__ import annotations

from typing import Any

import msgspec

PROTOCOL_VERSION = 1


class Abort(msgspec.Struct, frozen=True, tag_field="t", tag="abort"):
    """`Abort` of the wire contract."""

    ids: list[int]


class Beat(msgspec.Struct, frozen=True, tag_field="t", tag="beat"):
    """Sign of life from a thread beside the main loop.

    phase: what the main loop is doing
    busy_ms: time since the main loop last turned
    waits: what of other processes the main loop waits for in this time; null: it works, or nobody can tell
    """

    seq: int
    phase: str
    busy_ms: float
    waits: str | None
    stats: EngineStats | None


class Call(msgspec.Struct, frozen=True, tag_field="t", tag="call"):
    """`Call` of the wire contract.

    id: chosen by Node, unique within an epoch
    """

    id: int
    method: str
    params: Any


class ClearGradientParams(msgspec.Struct, frozen=True):
    """A run whose gradient is to be forgotten; weights and moments stay."""

    run: str


class CreateRunParams(msgspec.Struct, frozen=True):
    """A new run: a LoRA adapter of the base model, or all of it, and its gradient.

    rank: of its LoRA; 0: the parameters of the model themselves are trained
    alpha: of its LoRA, whose update is alpha / rank * B A
    dropout: share of the numbers of its LoRA’s input that passes with backward leave out, 0 to less than 1
    rslora: the update is alpha / sqrt(rank) * B A
    init: of A: default | gaussian, as PEFT’s init_lora_weights
    """

    run: str
    rank: int
    seed: int | None
    train_attn: bool
    train_mlp: bool
    train_unembed: bool
    alpha: float
    dropout: float
    targets: list[str] | None
    rslora: bool
    init: str


class Credit(msgspec.Struct, frozen=True, tag_field="t", tag="credit"):
    """`Credit` of the wire contract.

    grants: (stream id, more items)
    """

    grants: list[tuple[int, int]]


class CurveCredentials(msgspec.Struct, frozen=True):
    """With what a rank joins a hub over tcp: encrypted, and nobody else gets in.

    server_key: public key of the hub, Z85
    public_key: key that the hub admits, Z85
    secret_key: its secret half, Z85
    """

    server_key: str
    public_key: str
    secret_key: str


class DetokenizeParams(msgspec.Struct, frozen=True):
    """`DetokenizeParams` of the wire contract."""

    token_ids: list[int]


class DetokenizeResult(msgspec.Struct, frozen=True):
    """`DetokenizeResult` of the wire contract."""

    text: str


class EncodeParams(msgspec.Struct, frozen=True):
    """Conversations to be made sequences to train on.

    conversations: objects with `messages` as OpenAI has them, and `tools`
    template_kwargs: for the chat template
    truncation: what happens to longer ones: raise | left | right
    """

    conversations: list[Any]
    system: str | None
    template_kwargs: dict[str, Any]
    max_length: int | None
    truncation: str


class EncodedConversations(msgspec.Struct, frozen=True):
    """`EncodedConversations` of the wire contract.

    tokens: bytes: int32
    labels: bytes: int32; of each token the next where it is of an answer, else -100
    lengths: tokens of each conversation
    """

    tokens: Any
    labels: Any
    lengths: list[int]


class End(msgspec.Struct, frozen=True, tag_field="t", tag="end"):
    """`End` of the wire contract.

    id: chosen by Node, unique within an epoch
    """

    id: int
    value: Any


class EngineStats(msgspec.Struct, frozen=True):
    """Counters of an engine; cumulative ones never go back within an epoch.

    running: choices that advance in each step
    waiting: requests not yet started
    kv_usage: part of the KV cache in use, 0 to 1
    steps: engine steps since start
    prompt_tokens: since start
    generation_tokens: since start
    """

    running: int
    waiting: int
    kv_usage: float
    steps: int
    prompt_tokens: int
    generation_tokens: int


class Failure(msgspec.Struct, frozen=True, tag_field="t", tag="error"):
    """A call or stream failed; nothing more comes for its id.

    id: chosen by Node, unique within an epoch
    code: a code of src/errors.ts
    """

    id: int
    code: str
    message: str
    param: str | None
    traceback: str | None


class ForkRequest(msgspec.Struct, frozen=True):
    """Node → template: fork a rank. Descriptors come as SCM_RIGHTS with the same message.

    fds: meaning of the descriptors sent along: death | pass | listen | stdout | stderr | link (several)
    """

    id: int
    launch: LaunchSpec
    fds: list[str]


class GenerateEnd(msgspec.Struct, frozen=True):
    """Value that ends the stream `generate`.

    completion_tokens: over all choices
    cached_tokens: prompt tokens found in a prefix cache
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


class GenerateParams(msgspec.Struct, frozen=True, omit_defaults=True):
    """Parameters of the stream method `generate`.

    n: choices of the same prompt
    echo: send the prompt’s text and token ids on the first item
    adapter: name of a loaded LoRA adapter; absent: the base model
    """

    request_id: str
    prompt: Prompt
    sampling: SamplingParams
    n: int
    echo: bool
    adapter: str | None = None


class GradientNorm(msgspec.Struct, frozen=True):
    """`GradientNorm` of the wire contract.

    norm: that a step would clip
    """

    norm: float


class GradientNormParams(msgspec.Struct, frozen=True):
    """A run whose gradient’s norm is asked for; the gradient stays.

    gradient_scale: what the norm is multiplied by, as if the gradient were
    norm_type: p of the norm, at least 1; 0: infinity
    """

    run: str
    gradient_scale: float
    norm_type: float


class Hello(msgspec.Struct, frozen=True, tag_field="t", tag="hello"):
    """First frame of a rank.

    epoch: of the gang start this rank belongs to
    """

    protocol: int
    rank: int
    epoch: int
    pid: int
    engine: str
    python: str


class HttpParams(msgspec.Struct, frozen=True):
    """Parameters of the stream method `http`: a request for the engine’s own routes.

    path: as the engine’s own server knows it, without the query
    query: without the question mark
    headers: lower case names; nothing that opens this server
    body: JSON text, or empty
    """

    request_id: str
    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: str


class HttpPart(msgspec.Struct, frozen=True, omit_defaults=True):
    """One item of the stream `http`. The end of the stream is the end of the answer.

    body: bytes: the next ones of the answer; may be empty
    status: on the first part
    headers: on the first part
    """

    body: Any
    status: int | None = None
    headers: list[tuple[str, str]] | None = None


class Items(msgspec.Struct, frozen=True, tag_field="t", tag="items"):
    """Items of any number of streams: one message per engine step.

    items: (stream id, item)
    """

    items: list[tuple[int, Any]]


class LaunchSpec(msgspec.Struct, frozen=True):
    """Everything a rank needs to know before it connects.

    instance: id of the Node process that owns the rank
    world_size: ranks of the gang; an engine process of its own is not one of them
    role: whole: engine and rank in one process; engine: without a rank, `rank` is world_size; rank: driven by the engine process
    endpoint: ZeroMQ address to connect to
    curve: null over ipc, where the folder’s mode guards
    identity: ZeroMQ routing id of this rank in this epoch: random, so that no two meet
    engine: mock | transformers | …
    env: environment of the rank, over the inherited one
    death_fd: read end of the death pipe: end of file means that Node is gone
    pass_fd: socket over which descriptors of shared segments arrive
    listen_fd: bound and listening socket for the rendezvous of rank 0, else -1
    link_fds: sockets between the engine process and its ranks: of the engine one per rank, of a rank one, else none
    master_port: 0 when the gang has one rank
    """

    instance: str
    gang: str
    epoch: int
    rank: int
    local_rank: int
    world_size: int
    role: str
    endpoint: str
    curve: CurveCredentials | None
    identity: str
    engine: str
    env: dict[str, str]
    death_fd: int
    pass_fd: int
    listen_fd: int
    link_fds: list[int]
    master_addr: str
    master_port: int


class LoadParams(msgspec.Struct, frozen=True):
    """`LoadParams` of the wire contract.

    options: engine arguments by their own names, checked by the engine
    """

    model: str
    options: dict[str, Any]


class LoadRunParams(msgspec.Struct, frozen=True):
    """A run to be made, or replaced, by what was saved.

    folder: absolute; as train_save made it
    optimizer: with the moments and the step count of the optimizer
    """

    run: str
    folder: str
    optimizer: bool


class ModelCard(msgspec.Struct, frozen=True):
    """What a loaded engine says of itself.

    model: folder or hub id that was loaded
    max_model_len: tokens, prompt and answer together
    max_num_seqs: choices that advance in one step
    parameters: weights of the model; 0 for the mock engine
    chat_template: whether chat completions can be rendered
    routes: paths that the engine answers itself through the stream `http`, e.g. /v1/responses; empty: none
    relay_chat: whether every chat completion is for the engine’s own server, because it parses what the model says, or was so told
    relay_completions: the same of completions
    adapters: whether LoRA adapters can be loaded
    """

    engine: str
    model: str
    max_model_len: int
    max_num_seqs: int
    vocab_size: int
    dtype: str
    device: str
    parameters: int
    chat_template: bool
    routes: list[str]
    relay_chat: bool
    relay_completions: bool
    sampling_defaults: SamplingDefaults
    system_fingerprint: str | None
    adapters: bool


class Open(msgspec.Struct, frozen=True, tag_field="t", tag="open"):
    """Open a stream.

    id: chosen by Node, unique within an epoch
    credits: items the receiver has room for; the sender merges items when none is left, until the end
    """

    id: int
    method: str
    params: Any
    credits: int


class OptimStepParams(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of an optimizer; the gradient is zero afterwards.

    weight_decay: decoupled in adamw, added to the gradient in adam and sgd
    grad_clip_norm: global norm, of norm_type; 0: none
    kind: adamw | adam | sgd, as in torch.optim; absent: adamw. A run that changes it begins anew
    gradient_scale: what the gradient is multiplied by before it is clipped; absent: 1
    norm_type: p of the norm, at least 1; 0: infinity; absent: 2
    momentum: of sgd; absent: 0
    nesterov: of sgd; absent: false
    dampening: of sgd; absent: 0
    """

    run: str
    learning_rate: float
    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    grad_clip_norm: float
    kind: str | None = None
    gradient_scale: float | None = None
    norm_type: float | None = None
    momentum: float | None = None
    nesterov: bool | None = None
    dampening: float | None = None


class Phase(msgspec.Struct, frozen=True, tag_field="t", tag="phase"):
    """The rank entered a phase of its start, or moved on inside it.

    phase: import | config | tokenizer | weights | warmup | ready | …
    progress: 0 to 1 within the phase
    """

    phase: str
    progress: float
    detail: str


class Prompt(msgspec.Struct, frozen=True):
    """Exactly one of text, token_ids and messages is set."""

    text: str | None
    token_ids: list[int] | None
    messages: list[Any] | None
    tools: list[Any] | None
    chat_template: str | None
    chat_template_kwargs: dict[str, Any]
    add_generation_prompt: bool
    continue_final_message: bool
    add_special_tokens: bool


class PromptInfo(msgspec.Struct, frozen=True):
    """The prompt as the model saw it; sent when echo or prompt_logprobs asks."""

    token_ids: list[int]
    text: str
    logprobs: list[TokenLogprob] | None


class Refuse(msgspec.Struct, frozen=True, tag_field="t", tag="refuse"):
    """Answer to a hello of another version, epoch or rank: the rank ends."""

    reason: str


class Result(msgspec.Struct, frozen=True, tag_field="t", tag="result"):
    """`Result` of the wire contract.

    id: chosen by Node, unique within an epoch
    """

    id: int
    value: Any


class RunParams(msgspec.Struct, frozen=True):
    """A run, by its id."""

    run: str


class SamplingDefaults(msgspec.Struct, frozen=True):
    """What a model wants where a request says nothing (generation_config.json).

    top_k: 0 means all
    """

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    max_tokens: int | None
    max_tokens_limit: int | None


class SamplingParams(msgspec.Struct, frozen=True, omit_defaults=True):
    """How tokens are chosen and when a choice ends. Complete: the gateway fills defaults in.

    min_tokens: no stop before so many tokens
    temperature: 0 is greedy
    top_p: nucleus mass in (0, 1]
    top_k: 0 means all
    min_p: relative to the most likely token, in [0, 1]
    stop: stop strings; the text ends before the first that appears
    presence_penalty: OpenAI, in [-2, 2]
    frequency_penalty: OpenAI, in [-2, 2]
    repetition_penalty: CTRL, > 0; 1 is none
    logit_bias: (token id, bias added to its logit)
    default_max_tokens: where max_tokens is null: new tokens at most, fewer where the context ends
    """

    max_tokens: int | None
    min_tokens: int
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    seed: int | None
    stop: list[str]
    stop_token_ids: list[int]
    include_stop_str_in_output: bool
    ignore_eos: bool
    skip_special_tokens: bool
    presence_penalty: float
    frequency_penalty: float
    repetition_penalty: float
    logit_bias: list[tuple[int, float]]
    logprobs: int | None
    prompt_logprobs: int | None
    default_max_tokens: int | None = None


class SaveRunParams(msgspec.Struct, frozen=True):
    """A run to be saved.

    folder: absolute; made here, in a folder that exists
    optimizer: with the moments and the step count of the optimizer
    handed_over: for an engine on this machine alone: weights only, in the dtype that the model computes in, without checksums, not synced to the disk
    """

    run: str
    folder: str
    optimizer: bool
    handed_over: bool


class SavedBytes(msgspec.Struct, frozen=True):
    """Size of what was saved."""

    bytes: int


class SegmentParams(msgspec.Struct, frozen=True):
    """A segment whose descriptor was passed over the rank’s descriptor socket.

    size: bytes
    """

    segment: str
    size: int


class TemplateMessage(msgspec.Struct, frozen=True):
    """Template → Node, one JSON line each.

    kind: ready | forked | exit | failed
    id: of the fork request; -1 for ready
    code: exit code, null when a signal ended it
    """

    kind: str
    id: int
    pid: int
    code: int | None
    signal: int | None
    max_rss_kb: int
    cpu_ms: int
    detail: str


class TensorHandle(msgspec.Struct, frozen=True):
    """A tensor in a shared segment: C order, no copy travels.

    segment: name of the shared segment
    offset: bytes from its start
    dtype: numpy name: float32, int64, uint8, …; bfloat16 as such
    """

    segment: str
    offset: int
    dtype: str
    shape: list[int]


class TensorParams(msgspec.Struct, frozen=True):
    """`TensorParams` of the wire contract."""

    tensor: TensorHandle


class TensorSummary(msgspec.Struct, frozen=True):
    """What a rank sees of a tensor: proof that the pages arrived."""

    bytes: int
    first: float
    last: float
    dtype: str
    shape: list[int]


class TokenDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    """One item of the stream `generate`: what a choice gained in one engine step.

    choice: index of the choice, 0 to n − 1
    text: text that became certain in this step; may be empty
    token_ids: tokens of this step
    logprobs: one per token id
    finish: stop | length | abort: the last item of this choice
    stop_reason: the stop string or token id that matched
    """

    choice: int
    text: str
    token_ids: list[int]
    logprobs: list[TokenLogprob] | None = None
    finish: str | None = None
    stop_reason: str | int | None = None
    prompt: PromptInfo | None = None


class TokenLogprob(msgspec.Struct, frozen=True):
    """`TokenLogprob` of the wire contract.

    token: text of the token; bytes that are no UTF-8 become U+FFFD
    bytes: UTF-8 bytes of the token
    top: alternatives, best first: (token id, text, bytes, logprob)
    """

    token_id: int
    token: str
    bytes: list[int]
    logprob: float | None
    top: list[tuple[int, str, list[int], float]]


class TokenizeParams(msgspec.Struct, frozen=True):
    """`TokenizeParams` of the wire contract.

    with_tokens: also the text of each token
    """

    prompt: Prompt
    with_tokens: bool


class TokenizeResult(msgspec.Struct, frozen=True):
    """`TokenizeResult` of the wire contract."""

    token_ids: list[int]
    tokens: list[str] | None
    max_model_len: int


class TrainFailure(msgspec.Struct, frozen=True):
    """Why a work came to nothing; its run’s gradient is what it was.

    user: whether the request is at fault rather than the machine
    """

    message: str
    user: bool


class TrainInput(msgspec.Struct, frozen=True):
    """One input of a loss, of all datums of a work.

    dtype: float32 or int64
    data: bytes: of all datums that have it
    shapes: of each datum; null: it has none
    """

    name: str
    dtype: str
    data: Any
    shapes: list[list[int] | None]


class TrainMetrics(msgspec.Struct, frozen=True):
    """`TrainMetrics` of the wire contract.

    metrics: by `name:reduction`
    """

    metrics: dict[str, float]


class TrainOutcome(msgspec.Struct, frozen=True):
    """How a work ended.

    shapes: of each datum’s outputs
    metrics: by `name:reduction`
    """

    failure: TrainFailure | None
    shapes: list[list[int]]
    outputs: list[TrainOutput]
    metrics: dict[str, float]


class TrainOutput(msgspec.Struct, frozen=True):
    """One output of a loss, of all datums, in the shapes of its outcome.

    data: bytes: float32
    """

    name: str
    data: Any


class TrainPassParams(msgspec.Struct, frozen=True):
    """Works of any runs, to be computed together."""

    works: list[TrainWork]


class TrainPassResult(msgspec.Struct, frozen=True):
    """`TrainPassResult` of the wire contract.

    outcomes: of the works, in their order
    """

    outcomes: list[TrainOutcome]


class TrainWork(msgspec.Struct, frozen=True):
    """One forward or forward_backward of a run.

    config: numbers and texts of the loss, by name
    forward_only: computes the same and leaves the gradient alone
    tokens: bytes: int32
    lengths: tokens of each datum
    """

    run: str
    loss: str
    config: dict[str, Any]
    forward_only: bool
    tokens: Any
    lengths: list[int]
    inputs: list[TrainInput]


class Welcome(msgspec.Struct, frozen=True, tag_field="t", tag="welcome"):
    """`Welcome` of the wire contract.

    beat_ms: interval of beats
    """

    protocol: int
    epoch: int
    beat_ms: int


FromRank = Hello | Phase | Result | Failure | Items | End | Beat
ToRank = Welcome | Refuse | Call | Open | Credit | Abort

METHOD_PARAMS: dict[str, Any] = {
    "load": LoadParams,
    "tokenize": TokenizeParams,
    "detokenize": DetokenizeParams,
    "echo": Any,
    "attach_segment": SegmentParams,
    "detach_segment": SegmentParams,
    "tensor_summary": TensorParams,
    "train_create": CreateRunParams,
    "train_drop": RunParams,
    "train_pass": TrainPassParams,
    "train_step": OptimStepParams,
    "train_norm": GradientNormParams,
    "train_zero": ClearGradientParams,
    "train_encode": EncodeParams,
    "train_save": SaveRunParams,
    "train_load": LoadRunParams,
    "train_release": Any,
    "shutdown": Any,
    "generate": GenerateParams,
    "http": HttpParams,
}
"""Type of the parameters of each method."""
