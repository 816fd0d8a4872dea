// Opening a vendor library by name, binding its symbols, and keeping the reason when it is absent.
// It must not know any vendor.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace twinkle {

/// Why a library is not in use, or that it is.
struct LibraryStatus {
  std::string library;
  bool loaded = false;
  std::optional<std::string> path;
  std::optional<std::string> reason;
};

/// A library opened for good: vendor libraries start threads, so they are never closed again.
class Library {
 public:
  /// Tries `names` in order; when the environment variable `override_env` is set, only the path that it names.
  static Library open(const char* override_env, const std::vector<std::string>& names);

  bool loaded() const { return status_.loaded; }
  const LibraryStatus& status() const { return status_; }
  /// A function of the library, or null: an optional symbol degrades, it does not fail.
  template <typename Function>
  Function symbol(const char* name) const {
    return reinterpret_cast<Function>(find(name));
  }
  /// The same status with another verdict, e.g. when the library loads but its init function refuses.
  LibraryStatus refused(const std::string& reason) const;

 private:
  void* find(const char* name) const;

  void* handle_ = nullptr;
  LibraryStatus status_;
};

}  // namespace twinkle
