// Starting a process in its own group. It must not know who waits for its end.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "unique_fd.h"

namespace twinkle {

/// The same words as SpawnOptions of src/native/types.ts.
struct SpawnPlan {
  std::string file;
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::optional<std::string> cwd;
  std::vector<std::pair<int, int>> fds;  // (in the child, here)
  bool parent_death_signal = false;
  std::optional<std::vector<int>> cpus;
};

/// A started process; its pid is tracked until somebody reaps it.
struct Spawned {
  pid_t pid = 0;
  UniqueFd pidfd;
};

/// Returns when the program runs; throws NATIVE with the failing step and errno when it does not.
Spawned spawn(const SpawnPlan& plan);

}  // namespace twinkle
