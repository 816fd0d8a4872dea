/**
 * Arguments of `vllm serve` that the engine does not get here, each with the reason in one sentence: processes, devices and HTTP are
 * ours. Pure table; names in snake case.
 */

const elsewhere = (flag: string): string =>
  `it is an option of the server: write \`--${flag}\` (beside engine arguments)`;
const LISTENER = 'the gateway listens, not vLLM';
const TLS = 'the gateway speaks plain HTTP: put a proxy that does TLS in front of it';
const CORS = 'the gateway sends no CORS headers: let a proxy in front of it add them';
const REPLICAS = 'replicas are made and fed by twinkle-node: say how many with `--data-parallel-size` (-dp)';
const NODES = 'ranks of other machines are started by twinkle-node: join the machines to one head';
const DEVICES = 'ranks get their devices and cores from placement: say which with `--gpus`, or bundles';
const RUST = 'there is no gRPC front end here: use HTTP';
const DOCUMENTATION = 'no pages of documentation are served, only a description of the routes of the gateway';

/** Argument → why it is an error. */
export const REFUSED_VLLM_ARGS: Readonly<Record<string, string>> = {
  model: elsewhere('model'),
  served_model_name: elsewhere('served-model-name'),
  max_model_len: elsewhere('max-model-len'),
  tensor_parallel_size: elsewhere('tensor-parallel-size'),
  pipeline_parallel_size: elsewhere('pipeline-parallel-size'),
  data_parallel_size: elsewhere('data-parallel-size'),
  host: elsewhere('host'),
  port: elsewhere('port'),
  uds: elsewhere('uds'),
  api_key: elsewhere('api-key'),
  shutdown_timeout: elsewhere('shutdown-timeout'),
  log_level: elsewhere('log-level'),
  config: elsewhere('config'),
  prefill_context_parallel_size: 'a replica has tensor × pipeline ranks: prefill context parallelism would need more',
  data_parallel_rank: REPLICAS,
  data_parallel_start_rank: REPLICAS,
  data_parallel_size_local: REPLICAS,
  data_parallel_address: REPLICAS,
  data_parallel_rpc_port: REPLICAS,
  data_parallel_backend: REPLICAS,
  data_parallel_hybrid_lb: REPLICAS,
  data_parallel_external_lb: REPLICAS,
  data_parallel_multi_port_external_lb: REPLICAS,
  data_parallel_supervisor_port: REPLICAS,
  dp_supervisor_probe_failure_threshold: REPLICAS,
  dp_supervisor_probe_interval_s: REPLICAS,
  dp_supervisor_probe_timeout_s: REPLICAS,
  enable_elastic_ep: REPLICAS,
  elastic_ep_max_dp_size: REPLICAS,
  headless: NODES,
  nnodes: NODES,
  node_rank: NODES,
  master_addr: NODES,
  master_port: NODES,
  device_ids: DEVICES,
  numa_bind: DEVICES,
  numa_bind_nodes: DEVICES,
  numa_bind_cpus: DEVICES,
  ray_workers_use_nsight: 'there is no Ray here: profile with `--profiler-config`',
  api_server_count: 'one gateway serves all replicas and needs no second one',
  grpc: RUST,
  grpc_port: RUST,
  ssl_keyfile: TLS,
  ssl_certfile: TLS,
  ssl_ca_certs: TLS,
  ssl_cert_reqs: TLS,
  ssl_ciphers: TLS,
  enable_ssl_refresh: TLS,
  allow_credentials: CORS,
  allowed_origins: CORS,
  allowed_methods: CORS,
  allowed_headers: CORS,
  middleware: `${LISTENER}: middleware of Python would miss most requests`,
  disable_fastapi_docs: DOCUMENTATION,
  enable_offline_docs: DOCUMENTATION,
  sse_keep_alive_interval: 'the gateway keeps every stream alive: a comment at the latest after 15 s of silence',
  enable_server_load_tracking: '`/load` is not served: `/metrics` and `status` tell what runs and waits',
  aggregate_engine_logging: 'vLLM logs no statistics here: `/metrics` has them of each replica',
  tokens_only: 'every server takes token ids and returns them: give them as `prompt` and set `return_token_ids`',
  root_path: `${LISTENER}: let the proxy in front of it strip the prefix`,
};

/** Argument → why it is taken, warned about and not passed on. */
export const IGNORED_VLLM_ARGS: Readonly<Record<string, string>> = {
  distributed_executor_backend: 'twinkle-node starts the ranks and drives them with an executor of its own',
  uvicorn_log_level: LISTENER,
  disable_uvicorn_access_log: LISTENER,
  disable_access_log_for_endpoints: LISTENER,
  h11_max_header_count: LISTENER,
  h11_max_incomplete_event_size: `${LISTENER}; \`--body-limit\` bounds requests`,
  enable_request_id_headers: 'the gateway always answers with X-Request-Id',
};
