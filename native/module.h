// What each part exports to JavaScript, and the state of one JavaScript environment (main thread or worker).
#pragma once

#include <napi.h>

#include <memory>

#include "process/exit_channel.h"

namespace twinkle {

/// One per environment; lives until its teardown.
struct Module {
  static Module& of(Napi::Env env) { return *env.GetInstanceData<Module>(); }

  Napi::FunctionReference segment_class;
  Napi::FunctionReference arena_class;
  std::unique_ptr<ExitChannel> exits;
};

using Call = Napi::Value (*)(const Napi::CallbackInfo&);

// device/
Napi::Value call_devices(const Napi::CallbackInfo& info);
Napi::Value call_cpu(const Napi::CallbackInfo& info);

// memory/
Napi::Function define_segment(Napi::Env env);
Napi::Function define_arena(Napi::Env env);
Napi::Value call_segment_create(const Napi::CallbackInfo& info);
Napi::Value call_segment_open(const Napi::CallbackInfo& info);
Napi::Value call_map_private(const Napi::CallbackInfo& info);
Napi::Value call_arena(const Napi::CallbackInfo& info);
Napi::Value call_memlock_limit(const Napi::CallbackInfo& info);

// rendezvous/
Napi::Value call_listen_socket(const Napi::CallbackInfo& info);
Napi::Value call_nccl_unique_id(const Napi::CallbackInfo& info);
Napi::Value call_hccl_root_info(const Napi::CallbackInfo& info);
Napi::Value call_route_to(const Napi::CallbackInfo& info);

// process/
Napi::Value call_spawn(const Napi::CallbackInfo& info);
Napi::Value call_watch(const Napi::CallbackInfo& info);
Napi::Value call_on_exit(const Napi::CallbackInfo& info);
Napi::Value call_kill_group(const Napi::CallbackInfo& info);
Napi::Value call_set_subreaper(const Napi::CallbackInfo& info);
Napi::Value call_reap_adopted(const Napi::CallbackInfo& info);
Napi::Value call_pipe(const Napi::CallbackInfo& info);
Napi::Value call_socket_pair(const Napi::CallbackInfo& info);
Napi::Value call_send_fds(const Napi::CallbackInfo& info);
Napi::Value call_close_fd(const Napi::CallbackInfo& info);
Napi::Value call_set_affinity(const Napi::CallbackInfo& info);
Napi::Value call_sd_notify(const Napi::CallbackInfo& info);

}  // namespace twinkle
