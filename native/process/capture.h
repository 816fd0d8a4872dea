// Running a small tool to its end and keeping what it prints. Blocks; for fallbacks only.
#pragma once

#include <string>
#include <vector>

namespace twinkle {

struct Captured {
  std::string file;
  std::string output;  // standard output, at most 1 MiB
  int status = 0;      // of waitpid
  /// `exit code 1` or `signal 9`.
  std::string describe() const;
};

/// Throws NATIVE when it cannot start or does not end in time (it is killed then).
Captured capture(const std::vector<std::string>& command, int timeout_ms);

}  // namespace twinkle
