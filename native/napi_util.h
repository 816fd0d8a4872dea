// Between JavaScript values and C++: argument readers with clear errors, and Failure → JavaScript error.
#pragma once

#include <napi.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "failure.h"

namespace twinkle {

/// The JavaScript error of a Failure: properties code, errno, errnoName, syscall (the last three null without one),
/// details.
Napi::Error to_error(Napi::Env env, const Failure& failure);

/// Runs `body`; what it throws becomes a JavaScript error.
template <typename Body>
auto guarded(Napi::Env env, Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const Failure& failure) {
    throw to_error(env, failure);
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw to_error(env, Failure("INTERNAL", error.what()));
  }
}

/// Reads the arguments of one call. Every reader throws NATIVE (EINVAL) naming the call and the argument.
class Reader {
 public:
  explicit Reader(const char* call) : call_(call) {}

  double whole(const Napi::Value& value, const char* name, double least, double most) const;
  int integer(const Napi::Value& value, const char* name, int least, int most) const {
    return static_cast<int>(whole(value, name, least, most));
  }
  /// A descriptor number.
  int fd(const Napi::Value& value, const char* name) const { return integer(value, name, 0, INT32_MAX); }
  bool boolean(const Napi::Value& value, const char* name) const;
  /// Without zero bytes, which C would cut at.
  std::string text(const Napi::Value& value, const char* name) const;
  Napi::Object object(const Napi::Value& value, const char* name) const;
  std::vector<Napi::Value> list(const Napi::Value& value, const char* name) const;
  std::vector<std::string> texts(const Napi::Value& value, const char* name) const;
  std::vector<int> integers(const Napi::Value& value, const char* name, int least, int most) const;

 private:
  [[noreturn]] void refuse(const char* expected, const char* name, const Napi::Value& value) const;
  const char* call_;
};

/// A string or null.
Napi::Value text_or_null(Napi::Env env, const std::optional<std::string>& value);
/// A number or null.
template <typename Number>
Napi::Value number_or_null(Napi::Env env, const std::optional<Number>& value) {
  return value ? Napi::Value(Napi::Number::New(env, static_cast<double>(*value))) : env.Null();
}
Napi::Array numbers(Napi::Env env, const std::vector<int>& values);

}  // namespace twinkle
