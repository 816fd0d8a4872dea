#include "process/adopted.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>

#include "failure.h"
#include "process/tracked.h"
#include "text.h"

namespace twinkle {
namespace {

struct Stat {
  char state = '?';
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
};

// /proc/<pid>/stat; the command name in it may hold anything, so fields are counted from its last parenthesis.
std::optional<Stat> stat_of(pid_t pid) {
  const auto text = read_text("/proc/" + std::to_string(pid) + "/stat");
  if (!text) return std::nullopt;
  const std::size_t end = text->rfind(')');
  if (end == std::string::npos) return std::nullopt;
  const auto fields = words(std::string_view(*text).substr(end + 1));
  if (fields.size() < 4) return std::nullopt;
  const auto parent = parse_u64(fields[1]);
  const auto group = parse_u64(fields[2]);
  const auto session = parse_u64(fields[3]);
  if (!parent || !group || !session) return std::nullopt;
  return Stat{fields[0][0], static_cast<pid_t>(*parent), static_cast<pid_t>(*group), static_cast<pid_t>(*session)};
}

void add_numbers(std::string_view text, std::vector<pid_t>& pids) {
  for (const std::string_view word : words(text))
    if (const auto pid = parse_u64(word)) pids.push_back(static_cast<pid_t>(*pid));
}

std::vector<pid_t> children() {
  std::vector<pid_t> pids;
  bool listed = false;
  for (const std::string& task : list_folder("/proc/self/task"))
    if (const auto text = read_text("/proc/self/task/" + task + "/children")) {
      listed = true;
      add_numbers(*text, pids);
    }
  if (listed) return pids;
  // A kernel without CONFIG_PROC_CHILDREN: look at every process.
  for (const std::string& name : list_folder("/proc"))
    if (const auto pid = parse_u64(name)) {
      const auto stat = stat_of(static_cast<pid_t>(*pid));
      if (stat && stat->parent == getpid()) pids.push_back(static_cast<pid_t>(*pid));
    }
  return pids;
}

bool adopts_orphans() {
  int on = 0;
  return getpid() == 1 || (prctl(PR_GET_CHILD_SUBREAPER, &on) == 0 && on != 0);
}

}  // namespace

void set_subreaper(bool on) {
  if (prctl(PR_SET_CHILD_SUBREAPER, on ? 1L : 0L, 0L, 0L, 0L) != 0)
    fail_call("prctl(PR_SET_CHILD_SUBREAPER)", errno, "");
}

bool is_child_of_others(pid_t pid) {
  const auto stat = stat_of(pid);
  if (!stat || stat->parent != getpid()) return false;
  // libuv starts its children in our group, or (detached) in a session of their own; an orphan that we adopted was
  // started by a process of ours, so it is in another group of our session.
  return !adopts_orphans() || stat->group == getpgrp() || stat->session == pid;
}

std::vector<pid_t> reap_adopted(const std::vector<int>& groups) {
  std::vector<pid_t> reaped;
  const auto held = lock_tracked();
  for (const pid_t pid : children()) {
    // Who awaits a process wants its status; libuv's own children are in no group of ours.
    if (is_tracked(held, pid)) continue;
    const auto stat = stat_of(pid);
    if (!stat || stat->state != 'Z' || std::find(groups.begin(), groups.end(), stat->group) == groups.end()) continue;
    if (waitpid(pid, nullptr, WNOHANG) == pid) reaped.push_back(pid);
  }
  return reaped;
}

}  // namespace twinkle
