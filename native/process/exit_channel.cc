#include "process/exit_channel.h"

#include "failure.h"
#include "napi_util.h"

namespace twinkle {
namespace {

Napi::Object describe(Napi::Env env, const ProcessExit& end) {
  Napi::Object value = Napi::Object::New(env);
  value["pid"] = Napi::Number::New(env, end.pid);
  value["code"] = number_or_null(env, end.code);
  value["signal"] = number_or_null(env, end.signal);
  value["child"] = Napi::Boolean::New(env, end.child);
  value["maxRssKb"] = Napi::Number::New(env, end.max_rss_kb);
  value["userMs"] = Napi::Number::New(env, end.user_ms);
  value["systemMs"] = Napi::Number::New(env, end.system_ms);
  return value;
}

void check(napi_status status, const char* call) {
  if (status != napi_ok) throw Failure("INTERNAL", std::string(call) + " answered " + std::to_string(status));
}

}  // namespace

ExitChannel::ExitChannel(Napi::Env env) : env_(env) {
  check(napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "twinkle exits"), 0, 1, nullptr,
                                        nullptr, this, on_call, &function_),
        "napi_create_threadsafe_function");
  // The loop may end while processes live: who wants to wait holds something else.
  check(napi_unref_threadsafe_function(env, function_), "napi_unref_threadsafe_function");
  // Added after the function, so it runs before the function's own teardown: hooks run in reverse.
  check(napi_add_env_cleanup_hook(env, on_teardown, this), "napi_add_env_cleanup_hook");
}

ExitChannel::~ExitChannel() {
  if (function_ != nullptr) napi_remove_env_cleanup_hook(env_, on_teardown, this);
  shut();
}

void ExitChannel::on_teardown(void* self) {
  static_cast<ExitChannel*>(self)->shut();
}

void ExitChannel::shut() {
  if (function_ == nullptr) return;
  reaper_.reset();
  listener_.Reset();
  napi_release_threadsafe_function(std::exchange(function_, nullptr), napi_tsfn_abort);
}

Reaper& ExitChannel::reaper() {
  if (function_ == nullptr) throw Failure("NATIVE", "this JavaScript environment is ending; start no process now");
  if (!reaper_) {
    napi_threadsafe_function function = function_;
    // The thread is joined before the function is released.
    reaper_ = std::make_unique<Reaper>([function] { napi_call_threadsafe_function(function, nullptr, napi_tsfn_nonblocking); });
  }
  return *reaper_;
}

void ExitChannel::listen(const Napi::Value& listener) {
  if (listener.IsNull()) {
    listener_.Reset();
    return;
  }
  if (!listener.IsFunction()) fail_argument("onExit", "expected a function or null for `listener`");
  listener_ = Napi::Persistent(listener.As<Napi::Function>());
  // What came before there was a listener: on the next turn of the loop, never inside this call.
  if (function_ != nullptr) napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking);
}

void ExitChannel::on_call(napi_env env, napi_value, void* context, void*) {
  // No environment: the loop is ending and may run no JavaScript.
  if (env != nullptr) static_cast<ExitChannel*>(context)->deliver(env);
}

void ExitChannel::deliver(Napi::Env env) {
  const Napi::HandleScope scope(env);
  if (reaper_)
    for (ProcessExit& end : reaper_->take()) waiting_.push_back(end);
  while (!waiting_.empty() && !listener_.IsEmpty()) {
    // Taken off first: the listener may spawn, replace itself or throw.
    const ProcessExit end = waiting_.front();
    waiting_.pop_front();
    try {
      listener_.Call({describe(env, end)});
    } catch (const Napi::Error& error) {
      // As with any event listener that throws: uncaughtException.
      napi_fatal_exception(env, error.Value());
    }
  }
}

}  // namespace twinkle
