// An error with one of the codes of src/errors.ts, before it becomes a JavaScript error.
// It must not know Node-API: the plain C++ tests throw and catch it too.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace twinkle {

/// Thrown by every part of the addon. `what()` says what is wrong and what to do.
class Failure : public std::runtime_error {
 public:
  Failure(std::string code, const std::string& message) : std::runtime_error(message), code_(std::move(code)) {}

  /// A failed system call: its name and errno.
  Failure& from(std::string call, int error) {
    call_ = std::move(call);
    error_ = error;
    return *this;
  }
  /// A number for programs, e.g. `limitBytes`; it arrives in `details` of the JavaScript error.
  Failure& with(std::string key, double value) {
    facts_.emplace_back(std::move(key), value);
    return *this;
  }

  const std::string& code() const { return code_; }
  const std::string& call() const { return call_; }
  int error() const { return error_; }
  const std::vector<std::pair<std::string, double>>& facts() const { return facts_; }

 private:
  std::string code_;
  std::string call_;
  int error_ = 0;
  std::vector<std::pair<std::string, double>> facts_;
};

/// `EAGAIN` for 11; `errno 4095` for a number without a name here.
std::string errno_name(int error);

/// Throws NATIVE: `<call> failed with <errno name> (<words>)<context>; <advice>`.
[[noreturn]] void fail_call(const std::string& call, int error, const std::string& advice);

/// Throws NATIVE with EINVAL: an argument that can never be right.
[[noreturn]] void fail_argument(const std::string& call, const std::string& message);

}  // namespace twinkle
