// Limits that the cgroup of this process sets, v2 and v1. `root` is "" or the folder of a fixture.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace twinkle {

struct CgroupLimits {
  std::optional<std::uint64_t> memory_bytes;
  /// CPUs by quota, e.g. 1.5.
  std::optional<double> cpus;
};

/// The tightest limit on the way from this process's group up to the root of its mount.
CgroupLimits read_cgroup(const std::string& root);

/// Bytes that the group can still take, counting page cache that it can drop; nothing without a limit.
std::optional<std::uint64_t> cgroup_free_bytes(const std::string& root);

}  // namespace twinkle
