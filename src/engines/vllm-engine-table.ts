/** Arguments of `vllm serve` 0.26 and 0.32, the engine's part: facts of its parser, for vllm-args.ts.
 * Written by `python -m twinkle_worker.engines.vllm.list_arguments --table engine …`. */
export const VLLM_ENGINE_TABLE = `
additional-config json text
all2all-backend string choices=allgather_reducescatter|deepep_high_throughput|deepep_low_latency|deepep_v2|flashinfer_all2allv|flashinfer_nvlink_one_sided|flashinfer_nvlink_two_sided|moonep|mori_high_throughput|mori_low_latency|naive|nixl_ep|pplx
allow-deprecated-quantization boolean negatable
allowed-local-media-path string
allowed-media-domains list:string none
async-scheduling boolean negatable
attention-backend string none
attention-config json alias=-ac
aux-output-config json only=0.32
block-size integer
calculate-kv-scales boolean negatable only=0.26
code-revision string none
collect-detailed-traces list:string none choices=all|all,model|all,worker|model|model,all|model,worker|worker|worker,all|worker,model
compilation-config json alias=-cc
config-format string
convert string choices=auto|classify|embed|none
cp-kv-cache-interleave-size integer
cpu-distributed-timeout-seconds integer none
cpu-offload-gb number
cpu-offload-params list:string
cudagraph-capture-sizes list:integer
cudagraph-metrics boolean negatable
custom-histogram-buckets json none only=0.32
data-parallel-address string alias=-dpa
data-parallel-backend string alias=-dpb
data-parallel-external-lb boolean negatable alias=-dpe
data-parallel-hybrid-lb boolean negatable alias=-dph
data-parallel-multi-port-external-lb boolean alias=-dpm
data-parallel-rank integer alias=-dpn
data-parallel-rpc-port integer alias=-dpp
data-parallel-size integer alias=-dp
data-parallel-size-local integer alias=-dpl
data-parallel-start-rank integer alias=-dpr
dbo-decode-token-threshold integer
dbo-prefill-token-threshold integer
dcp-comm-backend string none choices=a2a|ag_rs
dcp-kv-cache-interleave-size integer
dcp-q-replicate boolean negatable only=0.32
decode-context-parallel-size integer alias=-dcp
default-mm-loras json none
device-ids string
diffusion-config json none alias=-dc
disable-cascade-attn boolean negatable
disable-chunked-mm-input boolean negatable
disable-custom-all-reduce boolean negatable
disable-hybrid-kv-cache-manager boolean negatable
disable-nccl-for-dp-synchronization boolean negatable
disable-sliding-window boolean negatable
distributed-executor-backend string none
distributed-timeout-seconds integer none
download-dir string none
dp-sync-interval integer only=0.32
dtype string choices=auto|bfloat16|float|float16|float32|half
ec-manager-config json only=0.32
ec-transfer-config json none
elastic-ep-max-dp-size integer only=0.32
enable-batch-sharded-sampling boolean negatable only=0.32
enable-bf16x3-router-gemm boolean negatable only=0.26
enable-chunked-prefill boolean negatable
enable-cumem-allocator boolean negatable
enable-dbo boolean negatable
enable-elastic-ep boolean negatable
enable-ep-weight-filter boolean negatable
enable-eplb boolean negatable
enable-expert-parallel boolean negatable alias=-ep
enable-fault-tolerance boolean negatable only=0.32
enable-flashinfer-autotune boolean negatable
enable-hc-sp boolean negatable only=0.32
enable-layerwise-nvtx-tracing boolean negatable
enable-logging-iteration-details boolean negatable
enable-lora boolean negatable
enable-mamba-cache-stochastic-rounding boolean negatable
enable-mamba-shared-prefix-checkpoint boolean negatable only=0.32
enable-mfu-metrics boolean negatable
enable-mixed-moe-lora-format boolean negatable
enable-mm-embeds boolean negatable
enable-moe-shared-loras boolean negatable
enable-nccl-comm-suspend boolean negatable only=0.32
enable-prefix-caching boolean negatable
enable-prompt-embeds boolean negatable
enable-return-routed-experts boolean negatable
enable-shm-tensor-arena boolean negatable only=0.32
enable-sleep-mode boolean negatable
enable-tower-connector-lora boolean negatable
enable-trace-replay boolean negatable only=0.32
enforce-eager boolean negatable
engram-config json none only=0.32
eplb-config json
expert-placement-strategy string choices=linear|round_robin
fault-tolerance-config json only=0.32
fully-sharded-loras boolean negatable
generation-config string
gpu-memory-utilization number alias=--device-memory-utilization
hf-config-path string none
hf-overrides json text
hf-token string bare
ignore-patterns list:string
interleave-mm-strings boolean negatable
io-processor-plugin string none
ir-op-priority json
jit-monitor-mode string choices=error|warn
jit-monitor-verbose boolean negatable
kernel-config json
kv-cache-dtype string choices=auto|bfloat16|float16|fp8|fp8_ds_mla|fp8_e4m3|fp8_e5m2|fp8_inc|fp8_per_token_head|int4_per_token_head|int8_per_token_head|nvfp4|nvfp4_4over6|nvfp4_ds_mla|turboquant_3bit_nc|turboquant_4bit_nc|turboquant_k3v4_nc|turboquant_k8v4|ultraquant_4bit
kv-cache-dtype-skip-layers list:string
kv-cache-memory-bytes integer suffixes none
kv-cache-metrics boolean negatable
kv-cache-metrics-sample number
kv-events-config json none
kv-offloading-backend string choices=lmcache|native
kv-offloading-size number none
kv-sharing-fast-prefill boolean negatable
kv-transfer-config json none
language-model-only boolean negatable
limit-mm-per-prompt json
linear-backend string
load-format string
log-config-file string
log-level string choices=CRITICAL|DEBUG|ERROR|INFO|NOTSET|WARNING only=0.32
logging-config json only=0.32
logits-processors list:string none
logprobs-mode string choices=processed_logits|processed_logprobs|raw_logits|raw_logprobs
long-prefill-token-threshold integer
long-prefill-token-threshold-adaptive boolean negatable only=0.32
lora-dtype string choices=auto|bfloat16|float16
lora-target-modules list:string none
mamba-backend string
mamba-block-size integer none
mamba-cache-dtype string choices=auto|bfloat16|float16|float32
mamba-cache-mode string choices=align|all|none
mamba-cache-philox-rounds integer
mamba-ssm-cache-dtype string choices=auto|bfloat16|float16|float32
mamba-ssu-algorithm string none choices=auto|horizontal|simple|vertical only=0.32
master-addr string
master-port integer
max-cpu-loras integer none
max-cudagraph-capture-size integer
max-logprobs integer
max-long-partial-prefills integer only=0.26
max-lora-cls-labels integer none only=0.32
max-lora-rank integer choices=1|128|16|256|32|320|512|64|8
max-loras integer
max-model-len integer suffixes
max-num-active-seqs integer none only=0.32
max-num-batched-tokens integer suffixes
max-num-partial-prefills integer only=0.26
max-num-queued-reqs integer none only=0.32
max-num-queued-tokens integer suffixes none only=0.32
max-num-scheduled-tokens integer suffixes none
max-num-seqs integer
max-parallel-loading-workers integer none
media-io-kwargs json
mm-device-do-normalize boolean negatable only=0.32
mm-encoder-attn-backend string none
mm-encoder-attn-dtype string none choices=fp8
mm-encoder-fp8-scale-path string none
mm-encoder-fp8-scale-save-margin number
mm-encoder-fp8-scale-save-path string none
mm-encoder-only boolean negatable
mm-encoder-tp-mode string choices=data|weights
mm-hasher-algorithm string choices=blake3|sha256|sha512 only=0.32
mm-ipc-gpu-memory-gb number
mm-processor-cache-gb number
mm-processor-cache-type string choices=lru|shm
mm-processor-device string choices=auto|cpu only=0.32
mm-processor-kwargs json none
mm-shm-cache-max-object-size-mb integer
mm-tensor-ipc string choices=direct_rpc|torch_shm
model string
model-class-overrides json
model-impl string
model-loader-extra-config json text
moe-backend string
nnodes integer alias=-n
node-rank integer alias=-r
num-gpu-blocks-override integer none
numa-bind boolean negatable
numa-bind-cpus list:string none
numa-bind-nodes list:integer none
offload-backend string choices=auto|prefetch|uva
offload-group-size integer
offload-num-in-group integer
offload-params list:string
offload-prefetch-step integer
optimization-level string
otlp-traces-endpoint string none
override-attention-dtype string none only=0.26
override-generation-config json
per-request-spec-decode-metrics string choices=detailed|none|summary only=0.32
performance-mode string choices=balanced|interactivity|throughput
pipeline-parallel-size integer alias=-pp
pooler-config json none
prefill-context-parallel-size integer alias=-pcp
prefill-schedule-interval integer
prefix-cache-retention-interval integer none only=0.32
prefix-caching-hash-algo string choices=sha256|sha256_cbor|xxhash|xxhash_cbor
prefix-match-unit integer none
profiler-config json
pt-load-map-location json text
quantization string none alias=-q
quantization-config json none
ray-workers-use-nsight boolean negatable
reasoning-config json none
reasoning-parser string
reasoning-parser-plugin string
renderer-num-workers integer
replayssm-buffer-len integer only=0.32
return-sampling-mask boolean negatable only=0.32
revision string none
runner string choices=auto|draft|generate|pooling
safetensors-load-strategy string none choices=eager|lazy|prefetch|torchao
safetensors-prefetch-block-size integer suffixes
safetensors-prefetch-num-threads integer
scheduler-cls string none
scheduler-reserve-full-isl boolean negatable
scheduling-policy string choices=fcfs|priority
seed integer
served-model-name list:string none
show-hidden-metrics-for-version string none
skip-mm-profiling boolean negatable
skip-tokenizer-init boolean negatable
sleep-mode-offload-cudagraph boolean negatable only=0.32
sleep-preserve-parameter-names list:string only=0.32
sparse-indexer-topk-backend string only=0.32
spec-method string none choices=bailing_hybrid_mtp|bailing_hybrid_v3_mtp|custom_class|deepseek_mtp|dflash|dots3_note_mtp|draft_model|dspark|eagle|eagle3|ernie_mtp|exaone4_5_mtp|exaone_moe_mtp|extract_hidden_states|gemma4_mtp|glm4_moe_lite_mtp|glm4_moe_mtp|glm5_next_mtp|glm_ocr_mtp|hy_v3_mtp|hy_v4_mtp|inkling_mtp|kimi_k3_mtp|longcat_flash_mtp|medusa|mimo_mtp|mimo_v2_mtp|minimax_m3_mtp|mlp_speculator|mtp|nemotron_h_mtp|ngram|ngram_gpu|pangu_ultra_moe_mtp|qwen3_5_mtp|qwen3_next_mtp|qwen4_exp_mtp|step3p5_mtp|suffix
spec-model string none
spec-tokens integer
specialize-active-lora boolean negatable
speculative-config json none alias=-sc
stream-interval integer
structured-outputs-config json
swa-bounded-replay boolean negatable only=0.32
tensor-parallel-size integer alias=-tp
tokenizer string
tokenizer-mode string
tokenizer-revision string none
trust-remote-code boolean negatable
ubatch-size integer
use-fp64-gumbel boolean negatable
use-replayssm boolean negatable only=0.32
use-tqdm-on-load boolean negatable
video-pruning-method string choices=evs|vidcom2 only=0.32
video-pruning-rate number none
watermark number
watermark-config json none only=0.32
weight-transfer-config json none
worker-cls string
worker-extension-cls string
`;
