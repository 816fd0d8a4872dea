#include "process/tracked.h"

#include <set>

namespace twinkle {
namespace {

std::mutex& mutex() {
  static std::mutex instance;
  return instance;
}

// A multiset: two environments may watch one pid.
std::multiset<pid_t>& pids() {
  static std::multiset<pid_t> instance;
  return instance;
}

}  // namespace

std::unique_lock<std::mutex> lock_tracked() {
  return std::unique_lock(mutex());
}

void track(const std::unique_lock<std::mutex>&, pid_t pid) {
  pids().insert(pid);
}

bool is_tracked(const std::unique_lock<std::mutex>&, pid_t pid) {
  return pids().count(pid) > 0;
}

void untrack(pid_t pid) {
  const auto held = lock_tracked();
  const auto found = pids().find(pid);
  if (found != pids().end()) pids().erase(found);
}

}  // namespace twinkle
