// A shared segment: a sealed memfd and its mapping in this process. It must not know JavaScript.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "memory/registration.h"
#include "unique_fd.h"

namespace twinkle {

/// Mapped, and (create) allocated in full, so that touching it can never raise SIGBUS. Not thread-safe.
class Segment {
 public:
  /// A new memfd of `size` bytes, rounded up to the page, sealed against resizing.
  /// Throws SHM_FULL, MEMLOCK_LIMIT, DEVICE_MISSING or NATIVE.
  static Segment create(const std::string& name, std::uint64_t size, bool lock, Registrar registrar);
  /// Maps a memfd of another process; takes `fd` over only when it succeeds. Throws NATIVE when it can shrink.
  static Segment open(int fd, const std::string& name);

  Segment(Segment&& other) noexcept;
  Segment& operator=(Segment&&) = delete;
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;
  ~Segment() { close(); }

  const std::string& name() const { return name_; }
  std::size_t size() const { return size_; }
  int fd() const { return fd_.get(); }
  bool locked() const { return locked_; }
  bool closed() const { return address_ == nullptr; }
  /// Null after close.
  void* address() const { return address_; }
  /// Unregisters, unmaps, closes; twice is allowed.
  void close();

 private:
  Segment(std::string name, std::size_t size, UniqueFd fd);
  void map();
  void lock();

  std::string name_;
  std::size_t size_ = 0;
  UniqueFd fd_;
  void* address_ = nullptr;
  bool locked_ = false;
  std::function<void()> unregister_;
};

}  // namespace twinkle
