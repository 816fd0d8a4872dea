// The exports of twinkle.node: the names and the order of src/native/types.ts.
#include <napi.h>

#include "module.h"
#include "napi_util.h"

namespace twinkle {
namespace {

// Changes whenever a name, an argument or a result of the exports does; src/native/load.ts refuses another one.
constexpr int kAbi = 2;

template <Call call>
Napi::Value enter(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&info] { return call(info); });
}

Napi::Object start(Napi::Env env, Napi::Object exports) {
  auto* module = new Module();
  env.SetInstanceData(module);
  module->segment_class = Napi::Persistent(define_segment(env));
  module->arena_class = Napi::Persistent(define_arena(env));
  module->exits = std::make_unique<ExitChannel>(env);

  const auto add = [&env, &exports](const char* name, Napi::Value (*call)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, call, name));
  };
  exports.Set("abi", Napi::Number::New(env, kAbi));

  add("devices", enter<call_devices>);
  add("cpu", enter<call_cpu>);

  add("segmentCreate", enter<call_segment_create>);
  add("segmentOpen", enter<call_segment_open>);
  add("mapPrivate", enter<call_map_private>);
  add("arena", enter<call_arena>);
  add("memlockLimit", enter<call_memlock_limit>);

  add("listenSocket", enter<call_listen_socket>);
  add("ncclUniqueId", enter<call_nccl_unique_id>);
  add("hcclRootInfo", enter<call_hccl_root_info>);
  add("routeTo", enter<call_route_to>);

  add("spawn", enter<call_spawn>);
  add("watch", enter<call_watch>);
  add("onExit", enter<call_on_exit>);
  add("killGroup", enter<call_kill_group>);
  add("setSubreaper", enter<call_set_subreaper>);
  add("reapAdopted", enter<call_reap_adopted>);
  add("pipe", enter<call_pipe>);
  add("socketPair", enter<call_socket_pair>);
  add("sendFds", enter<call_send_fds>);
  add("closeFd", enter<call_close_fd>);
  add("setAffinity", enter<call_set_affinity>);
  add("sdNotify", enter<call_sd_notify>);
  return exports;
}

}  // namespace
}  // namespace twinkle

static Napi::Object twinkle_init(Napi::Env env, Napi::Object exports) {
  return twinkle::guarded(env, [&] { return twinkle::start(env, exports); });
}

NODE_API_MODULE(twinkle, twinkle_init)
