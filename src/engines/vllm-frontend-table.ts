/** Arguments of `vllm serve` 0.26 and 0.32, the frontend's part: facts of its parser, for vllm-args.ts.
 * Written by `python -m twinkle_worker.engines.vllm.list_arguments --table frontend …`. */
export const VLLM_FRONTEND_TABLE = `
aggregate-engine-logging boolean
allow-credentials boolean negatable
allowed-headers json
allowed-methods json
allowed-origins json
anthropic-disabled-thinking-effort string choices=auto|high|low|max|medium|none|xhigh only=0.32
api-key list:string none
api-server-count integer alias=-asc
chat-template string none
chat-template-content-format string choices=auto|openai|string
cohere-format string only=0.32
cohere-is-reasoning-model boolean negatable only=0.32
config string
data-parallel-supervisor-port integer
default-chat-template-kwargs json
disable-access-log-for-endpoints string none
disable-fastapi-docs boolean negatable
disable-log-stats boolean
disable-uvicorn-access-log boolean negatable
dp-supervisor-probe-failure-threshold integer
dp-supervisor-probe-interval-s number
dp-supervisor-probe-timeout-s number
enable-auto-tool-choice boolean negatable
enable-flash-late-interaction boolean negatable
enable-force-include-usage boolean negatable
enable-log-deltas boolean negatable
enable-log-outputs boolean negatable
enable-log-requests boolean negatable
enable-offline-docs boolean negatable
enable-per-request-metrics boolean negatable
enable-prompt-tokens-details boolean negatable
enable-request-id-headers boolean negatable
enable-scale-out boolean negatable only=0.32
enable-server-load-tracking boolean negatable
enable-ssl-refresh boolean negatable
enable-tokenizer-info-endpoint boolean negatable
exclude-tools-when-tool-choice-none boolean negatable
fail-on-environ-validation boolean negatable
fingerprint-mode string choices=custom|full|hash|none
fingerprint-value string none
gdn-prefill-backend string choices=aiter_flydsl|cutedsl|flashinfer|triton
grpc boolean
grpc-port integer none only=0.32
h11-max-header-count integer
h11-max-incomplete-event-size integer
headless boolean
host string none
kda-decode-backend string choices=auto|flashinfer|native|triton only=0.32
kda-prefill-backend string choices=auto|flashinfer|flashkda|fused|triton only=0.32
log-error-stack boolean negatable
lora-modules list:string none
max-log-len integer none
middleware list:string
port integer
response-role string
return-tokens-as-token-ids boolean negatable
root-path string none
shutdown-timeout integer
sse-keep-alive-interval integer only=0.32
ssl-ca-certs string none
ssl-cert-reqs integer
ssl-certfile string none
ssl-ciphers string none
ssl-keyfile string none
tokens-only boolean negatable
tool-call-parser string none
tool-parser-plugin string
tool-server string none
tool-strict-level string choices=auto|function|parameter only=0.32
trust-request-chat-template boolean negatable
trust-request-mm-kwargs boolean negatable only=0.32
uds string none
uvicorn-log-level string choices=critical|debug|error|info|trace|warning
`;
