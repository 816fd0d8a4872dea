#include "process/capture.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>

#include "failure.h"
#include "process/executable.h"
#include "process/spawn.h"
#include "process/tracked.h"

namespace twinkle {
namespace {

constexpr std::size_t kMostOutput = 1 << 20;
using Clock = std::chrono::steady_clock;

// Waits for input or an end; false at the deadline.
bool readable(int fd, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd waiting{fd, POLLIN, 0};
    const int ready = poll(&waiting, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

// Reads until end of file; false at the deadline.
bool drain(int fd, Clock::time_point deadline, std::string& output) {
  char block[4096];
  while (readable(fd, deadline)) {
    const ssize_t got = read(fd, block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return true;
    if (output.size() < kMostOutput) output.append(block, static_cast<std::size_t>(got));
  }
  return false;
}

// A pidfd is readable when its process has ended.
bool ended(int pidfd, Clock::time_point deadline) {
  return readable(pidfd, deadline);
}

}  // namespace

std::string Captured::describe() const {
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return "exit code " + std::to_string(WEXITSTATUS(status));
}

Captured capture(const std::vector<std::string>& command, int timeout_ms) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail_call("pipe2", errno, "raise the limit of open files (ulimit -n)");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);

  SpawnPlan plan;
  for (char** entry = environ; *entry != nullptr; entry++) plan.env.emplace_back(*entry);
  plan.file = find_executable(command.front(), plan.env);
  plan.args.assign(command.begin() + 1, command.end());
  plan.fds = {{1, write_end.get()}};
  Captured captured;
  captured.file = plan.file;
  const Spawned spawned = spawn(plan);
  write_end.reset();
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  const bool finished = drain(read_end.get(), deadline, captured.output) && ended(spawned.pidfd.get(), deadline);
  // Late ones, and helpers that a tool left in its group after a clean end.
  kill(-spawned.pid, SIGKILL);
  while (waitpid(spawned.pid, &captured.status, 0) < 0 && errno == EINTR) {
  }
  untrack(spawned.pid);
  if (!finished)
    fail_call(command.front(), ETIMEDOUT, "it did not end within " + std::to_string(timeout_ms) + " ms and was killed");
  return captured;
}

}  // namespace twinkle
