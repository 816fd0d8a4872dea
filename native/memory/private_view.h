// A part of a shared memfd as memory of this process alone: nothing is copied until it is written to, and what is
// written stays here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace twinkle {

/// Bytes of a sealed memfd. Moved, never copied; unmaps at its end.
class PrivateView {
 public:
  /// Maps `size` bytes from `offset`. Throws NATIVE for what is no memfd that cannot shrink, or too short.
  static PrivateView map(int fd, std::uint64_t offset, std::uint64_t size);

  PrivateView(PrivateView&& other) noexcept;
  PrivateView& operator=(PrivateView&&) = delete;
  PrivateView(const PrivateView&) = delete;
  PrivateView& operator=(const PrivateView&) = delete;
  ~PrivateView();

  /// At the byte that was asked for.
  void* data() const { return static_cast<char*>(pages_) + before_; }
  std::size_t size() const { return length_ - before_; }

 private:
  PrivateView(void* pages, std::size_t length, std::size_t before) : pages_(pages), length_(length), before_(before) {}

  void* pages_;
  std::size_t length_;
  std::size_t before_;  // a mapping begins at a page
};

}  // namespace twinkle
