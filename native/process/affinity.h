// CPU masks and pinning.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

namespace twinkle {

/// A cpu_set_t that is as large as its highest CPU needs.
class CpuMask {
 public:
  /// No mask: set() is null.
  CpuMask() = default;
  /// Throws NATIVE for an empty list or an impossible number.
  CpuMask(const std::string& call, const std::vector<int>& cpus);

  const cpu_set_t* set() const { return words_.empty() ? nullptr : reinterpret_cast<const cpu_set_t*>(words_.data()); }
  std::size_t bytes() const { return words_.size() * sizeof(unsigned long); }

 private:
  std::vector<unsigned long> words_;
};

/// Pins every thread of a process (0: this one). Throws NATIVE.
void set_affinity(pid_t pid, const std::vector<int>& cpus);

}  // namespace twinkle
