// Pids whose end somebody of this process awaits: spawned or watched. Shared by every JavaScript environment.
#pragma once

#include <sys/types.h>

#include <mutex>

namespace twinkle {

/// Held around "make a child and track it", so that no one reaps it in between.
std::unique_lock<std::mutex> lock_tracked();
/// Both need the lock.
void track(const std::unique_lock<std::mutex>& held, pid_t pid);
bool is_tracked(const std::unique_lock<std::mutex>& held, pid_t pid);
/// Takes the lock itself; after the pid was reaped.
void untrack(pid_t pid);

}  // namespace twinkle
