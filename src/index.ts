/**
 * twinkle-node in your own Node backend.
 *
 * ```ts
 * import { createServer } from 'twinkle-node';
 *
 * await using server = await createServer({ port: 0 });
 * for await (const piece of server.generate({ messages: [{ role: 'user', content: 'Hello!' }] })) {
 *   process.stdout.write(piece.text);
 * }
 * ```
 */
export type {
  BundleStatus,
  ClusterSnapshot,
  Group,
  GroupStatus,
  NodeDeviceStatus,
  NodeStatus,
  SeatDevice,
} from './cluster/api.js';
export type { AutoscalingInput, LlmConfigInput } from './config/llm-config-types.js';
export type { ServeOptions } from './config/user-options.js';
export { type ErrorCode, TwinkleError } from './errors.js';
export {
  type ClusterConnection,
  type ConnectOptions,
  connectCluster,
  type GroupOptions,
} from './runtime/connect-cluster.js';
export { type CreateRuntimeOptions, createRuntime, type WorkerOutput } from './runtime/create-runtime.js';
export { type CreateServerOptions, createServer, type Server } from './runtime/embed.js';
export type { UpdateWeightsOptions } from './runtime/embedded-weights.js';
export type { ChatMessage, GeneratedPiece, GenerateOptions } from './runtime/generate-stream.js';
export { type LaunchServerOptions, launchServer } from './runtime/launch-server.js';
export type { HeadEvents, HeadStatus } from './runtime/types.js';
export type { NamedTensor, ServedWeights, UpdateMode, WeightSource, WeightStore } from './serving/types/weights.js';
export type {
  DeviceTurn,
  ModelState,
  ReplicaStatus,
  ScaleStatus,
  ServedModel,
  StartProgress,
} from './serving/types.js';
export type { Tensor, TensorStore } from './tensor/tensor-store.js';
export { Keywords } from './work/client.js';
export { TaskError } from './work/failures.js';
export type { ActorClass, ActorHandle, AnyMethods, CallOptions, RemoteFunction } from './work/handle.js';
export { NdArray, type NdArrayData, type NdArrayDtype } from './work/nd-array.js';
export type { ActorOptions, RuntimeEnvOptions, TaskOptions, WorkOptions } from './work/options.js';
export type { Bundle, PlacementGroup, PlacementGroupOptions, PlacementStrategy } from './work/placement-group.js';
export { ObjectRef } from './work/refs.js';
export type { Runtime, WaitOptions } from './work/runtime.js';
