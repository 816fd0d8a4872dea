// Starting, watching and ending processes for JavaScript.
#include <sys/types.h>
#include <csignal>

#include <cerrno>

#include "module.h"
#include "napi_util.h"
#include "process/adopted.h"
#include "process/affinity.h"
#include "process/descriptors.h"
#include "process/sd_notify.h"
#include "process/spawn.h"

namespace twinkle {
namespace {

constexpr int kMostCpus = 65535;

Napi::Value pair(Napi::Env env, const std::pair<int, int>& ends) {
  return numbers(env, {ends.first, ends.second});
}

SpawnPlan read_plan(const Napi::Value& value) {
  const Reader read("spawn");
  const Napi::Object options = read.object(value, "options");
  SpawnPlan plan;
  plan.file = read.text(options.Get("file"), "file");
  plan.args = read.texts(options.Get("args"), "args");
  plan.env = read.texts(options.Get("env"), "env");
  for (const std::string& entry : plan.env)
    if (entry.find('=') == std::string::npos || entry[0] == '=')
      fail_argument("spawn", "expected KEY=value entries for `env` but received \"" + entry.substr(0, 60) + "\"");
  const Napi::Value cwd = options.Get("cwd");
  if (!cwd.IsNull()) plan.cwd = read.text(cwd, "cwd");
  for (const Napi::Value& item : read.list(options.Get("fds"), "fds")) {
    const std::vector<int> ends = read.integers(item, "fds", 0, INT32_MAX);
    if (ends.size() != 2) fail_argument("spawn", "expected pairs [child, parent] for `fds`");
    plan.fds.emplace_back(ends[0], ends[1]);
  }
  plan.parent_death_signal = read.boolean(options.Get("parentDeathSignal"), "parentDeathSignal");
  const Napi::Value cpus = options.Get("cpus");
  if (!cpus.IsNull()) plan.cpus = read.integers(cpus, "cpus", 0, kMostCpus);
  return plan;
}

}  // namespace

Napi::Value call_spawn(const Napi::CallbackInfo& info) {
  const SpawnPlan plan = read_plan(info[0]);
  // First: without a thread to wait for it, no process is started.
  Reaper& reaper = Module::of(info.Env()).exits->reaper();
  Spawned spawned = spawn(plan);
  const pid_t pid = spawned.pid;
  reaper.add(std::move(spawned));
  return Napi::Number::New(info.Env(), pid);
}

Napi::Value call_watch(const Napi::CallbackInfo& info) {
  const int pid = Reader("watch").integer(info[0], "pid", 1, INT32_MAX);
  Module::of(info.Env()).exits->reaper().watch(pid);
  return info.Env().Undefined();
}

Napi::Value call_on_exit(const Napi::CallbackInfo& info) {
  Module::of(info.Env()).exits->listen(info[0]);
  return info.Env().Undefined();
}

Napi::Value call_kill_group(const Napi::CallbackInfo& info) {
  const Reader read("killGroup");
  // From 2: kill(-1) would mean every process of the user, kill(0) our own group.
  const int group = read.integer(info[0], "group", 2, INT32_MAX);
  const int signal = read.integer(info[1], "signal", 0, NSIG - 1);
  if (kill(-group, signal) == 0) return Napi::Boolean::New(info.Env(), true);
  if (errno == ESRCH) return Napi::Boolean::New(info.Env(), false);
  fail_call("kill", errno, "group " + std::to_string(group) + " belongs to somebody else");
}

Napi::Value call_set_subreaper(const Napi::CallbackInfo& info) {
  set_subreaper(Reader("setSubreaper").boolean(info[0], "on"));
  return info.Env().Undefined();
}

Napi::Value call_reap_adopted(const Napi::CallbackInfo& info) {
  return numbers(info.Env(), reap_adopted(Reader("reapAdopted").integers(info[0], "groups", 2, INT32_MAX)));
}

Napi::Value call_pipe(const Napi::CallbackInfo& info) {
  return pair(info.Env(), make_pipe());
}

Napi::Value call_socket_pair(const Napi::CallbackInfo& info) {
  return pair(info.Env(), make_socket_pair());
}

Napi::Value call_send_fds(const Napi::CallbackInfo& info) {
  const Reader read("sendFds");
  const int socket = read.fd(info[0], "socket");
  if (!info[1].IsTypedArray() || info[1].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    fail_argument("sendFds", "expected a Uint8Array for `data`");
  const auto data = info[1].As<Napi::Uint8Array>();
  send_fds(socket, data.Data(), data.ByteLength(), read.integers(info[2], "fds", 0, INT32_MAX));
  return info.Env().Undefined();
}

Napi::Value call_close_fd(const Napi::CallbackInfo& info) {
  close_fd(Reader("closeFd").fd(info[0], "fd"));
  return info.Env().Undefined();
}

Napi::Value call_set_affinity(const Napi::CallbackInfo& info) {
  const Reader read("setAffinity");
  const int pid = read.integer(info[0], "pid", 0, INT32_MAX);
  set_affinity(pid, read.integers(info[1], "cpus", 0, kMostCpus));
  return info.Env().Undefined();
}

Napi::Value call_sd_notify(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), sd_notify(Reader("sdNotify").text(info[0], "state")));
}

}  // namespace twinkle
