// CPUs, NUMA nodes and memory of this host. `root` is "" or the folder of a fixture, so that tests need no machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace twinkle {

struct NumaNode {
  int node = 0;
  std::vector<int> cpus;
  std::uint64_t memory_bytes = 0;
};

struct Memory {
  std::uint64_t total = 0;
  std::uint64_t available = 0;
};

struct CpuInfo {
  std::string model;
  int sockets = 0;
  int physical_cores = 0;
  int logical_cores = 0;
  std::vector<int> allowed;
  std::vector<NumaNode> numa;
  std::vector<std::string> flags;
  Memory memory;
  std::optional<std::uint64_t> cgroup_memory_bytes;
  std::optional<double> cgroup_cpus;
};

/// @param allowed CPUs of the affinity mask
CpuInfo read_cpu(const std::string& root, std::vector<int> allowed);
/// /proc/meminfo; zeros when unreadable.
Memory read_memory(const std::string& root);
/// CPUs in the affinity mask of the calling thread.
std::vector<int> allowed_cpus();

}  // namespace twinkle
