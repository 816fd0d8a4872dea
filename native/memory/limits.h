// What this process may lock and allocate.
#pragma once

#include <cstdint>
#include <optional>

namespace twinkle {

/// RLIMIT_MEMLOCK in bytes; nothing means unlimited.
struct MemlockLimit {
  std::optional<std::uint64_t> soft;
  std::optional<std::uint64_t> hard;
};

MemlockLimit memlock_limit();

/// Bytes that can be allocated now: the kernel's MemAvailable, less where a cgroup allows less.
std::uint64_t allocatable_bytes();

}  // namespace twinkle
