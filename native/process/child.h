// The child's side of a spawn, between clone and exec: only async-signal-safe calls, no allocation, no lock.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <cstddef>

namespace twinkle {

/// Where a child stopped; 0 while it has not.
enum class ChildStep : int {
  kNone = 0,
  kGroup,
  kDeathSignal,
  kAffinity,
  kDescriptors,
  kFolder,
  kExec,
};

/// Everything prepared by the parent; the child shares its memory and only reads it, but for the last two.
struct ChildPlan {
  const char* file = nullptr;
  char* const* argv = nullptr;
  char* const* envp = nullptr;
  const char* cwd = nullptr;  // null: inherited
  bool death_signal = false;
  pid_t parent = 0;
  const cpu_set_t* cpus = nullptr;  // null: inherited
  std::size_t cpus_bytes = 0;

  struct Descriptor {
    int target = 0;
    int source = 0;
    int high = -1;  // scratch of the child
  };
  Descriptor* descriptors = nullptr;  // sorted by target
  std::size_t descriptor_count = 0;
  int first_high = 0;  // above every target

  ChildStep failed = ChildStep::kNone;
  int error = 0;
};

/// Runs in the child; `argument` is the ChildPlan. Never returns.
int run_child(void* argument);

}  // namespace twinkle
