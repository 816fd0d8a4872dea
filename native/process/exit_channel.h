// Carries the ends of processes from the reaper's thread to the one JavaScript listener of an environment.
#pragma once

#include <napi.h>

#include <deque>
#include <memory>

#include "process/reaper.h"

namespace twinkle {

class ExitChannel {
 public:
  explicit ExitChannel(Napi::Env env);
  ~ExitChannel();
  ExitChannel(const ExitChannel&) = delete;
  ExitChannel& operator=(const ExitChannel&) = delete;

  /// Starts the thread on first use. Throws NATIVE after teardown began.
  Reaper& reaper();
  /// Null removes it; ends that come without a listener wait for the next one.
  void listen(const Napi::Value& listener);

 private:
  static void on_call(napi_env env, napi_value, void* context, void*);
  static void on_teardown(void* self);
  void deliver(napi_env env);
  /// False when the environment can run no more JavaScript.
  bool call(napi_env env, const ProcessExit& end);
  void shut();

  Napi::Env env_;
  napi_threadsafe_function function_ = nullptr;
  std::unique_ptr<Reaper> reaper_;
  Napi::FunctionReference listener_;
  std::deque<ProcessExit> waiting_;
};

}  // namespace twinkle
