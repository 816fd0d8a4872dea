// Children that this process did not start: orphans that it adopted as child subreaper.
#pragma once

#include <sys/types.h>

#include <vector>

namespace twinkle {

/// PR_SET_CHILD_SUBREAPER. Throws NATIVE.
void set_subreaper(bool on);
/// Reaps zombies of the given process groups that nobody awaits; their pids.
std::vector<pid_t> reap_adopted(const std::vector<int>& groups);
/// Whether a process is a child that others in this process (libuv) started and wait for: its status is theirs.
bool is_child_of_others(pid_t pid);

}  // namespace twinkle
