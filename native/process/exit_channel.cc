#include "process/exit_channel.h"

#include <optional>
#include <string>
#include <utility>

#include "failure.h"
#include "napi_util.h"

namespace twinkle {
namespace {

bool set_number(napi_env env, napi_value object, const char* key, std::optional<double> number) {
  napi_value value = nullptr;
  const napi_status made = number ? napi_create_double(env, *number, &value) : napi_get_null(env, &value);
  return made == napi_ok && napi_set_named_property(env, object, key, value) == napi_ok;
}

std::optional<double> widen(const std::optional<int>& number) {
  return number ? std::optional<double>(*number) : std::nullopt;
}

bool describe(napi_env env, const ProcessExit& end, napi_value* object) {
  napi_value child = nullptr;
  return napi_create_object(env, object) == napi_ok && set_number(env, *object, "pid", end.pid) &&
         set_number(env, *object, "code", widen(end.code)) && set_number(env, *object, "signal", widen(end.signal)) &&
         napi_get_boolean(env, end.child, &child) == napi_ok &&
         napi_set_named_property(env, *object, "child", child) == napi_ok &&
         set_number(env, *object, "maxRssKb", end.max_rss_kb) && set_number(env, *object, "userMs", end.user_ms) &&
         set_number(env, *object, "systemMs", end.system_ms);
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
    reaper_ = std::make_unique<Reaper>(
        [function] { napi_call_threadsafe_function(function, nullptr, napi_tsfn_nonblocking); });
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

// C calls, not the C++ wrapper: while a worker is being terminated any of them may refuse, and the wrapper would then
// end the whole process.
bool ExitChannel::call(napi_env env, const ProcessExit& end) {
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return false;
  napi_value listener = nullptr, receiver = nullptr, argument = nullptr;
  bool goes_on = napi_get_reference_value(env, listener_, &listener) == napi_ok &&
                 napi_get_undefined(env, &receiver) == napi_ok && describe(env, end, &argument);
  if (goes_on) {
    const napi_status status = napi_call_function(env, receiver, listener, 1, &argument, nullptr);
    napi_value error = nullptr;
    // As with any event listener that throws: uncaughtException.
    if (status == napi_pending_exception && napi_get_and_clear_last_exception(env, &error) == napi_ok)
      goes_on = napi_fatal_exception(env, error) == napi_ok;
    else
      goes_on = status == napi_ok;
  }
  napi_close_handle_scope(env, scope);
  return goes_on;
}

void ExitChannel::deliver(napi_env env) {
  if (reaper_)
    for (ProcessExit& end : reaper_->take()) waiting_.push_back(end);
  while (!waiting_.empty() && !listener_.IsEmpty()) {
    // Taken off first: the listener may spawn, replace itself or throw.
    const ProcessExit end = waiting_.front();
    waiting_.pop_front();
    if (!call(env, end)) return;
  }
}

}  // namespace twinkle
