#include "memory/limits.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

#include "device/cgroup.h"
#include "device/cpu.h"
#include "failure.h"

namespace twinkle {
namespace {

std::optional<std::uint64_t> bytes(rlim_t value) {
  if (value == RLIM_INFINITY) return std::nullopt;
  return value;
}

}  // namespace

MemlockLimit memlock_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) fail_call("getrlimit", errno, "");
  return {bytes(limit.rlim_cur), bytes(limit.rlim_max)};
}

std::uint64_t allocatable_bytes() {
  const std::uint64_t host = read_memory("").available;
  const std::optional<std::uint64_t> group = cgroup_free_bytes("");
  return group ? std::min(host, *group) : host;
}

}  // namespace twinkle
