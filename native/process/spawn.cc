#include "process/spawn.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "failure.h"
#include "process/affinity.h"
#include "process/child.h"
#include "process/executable.h"
#include "process/tracked.h"

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif

namespace twinkle {
namespace {

constexpr int kHighestTarget = 4095;
constexpr std::size_t kStackBytes = 256 * 1024;

// A stack for the child: it shares our memory until it execs, so it must not run on ours.
class ChildStack {
 public:
  ChildStack() {
    base_ = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (base_ == MAP_FAILED) fail_call("mmap", errno, "no memory for the stack of a new process");
  }
  ~ChildStack() { munmap(base_, kStackBytes); }
  ChildStack(const ChildStack&) = delete;
  ChildStack& operator=(const ChildStack&) = delete;
  void* top() const { return static_cast<char*>(base_) + kStackBytes; }

 private:
  void* base_;
};

// All signals off, the C library's own included: a handler in the child would run in our memory.
class SignalBlock {
 public:
  SignalBlock() {
    const std::uint64_t all = ~std::uint64_t{0};
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old_, sizeof all);
  }
  ~SignalBlock() { syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old_, nullptr, sizeof old_); }
  SignalBlock(const SignalBlock&) = delete;
  SignalBlock& operator=(const SignalBlock&) = delete;

 private:
  std::uint64_t old_ = 0;
};

std::vector<ChildPlan::Descriptor> descriptors_of(const SpawnPlan& plan) {
  std::vector<ChildPlan::Descriptor> list;
  for (const auto& [target, source] : plan.fds) {
    if (target < 0 || target > kHighestTarget)
      fail_argument("spawn",
                    "expected 0 to 4095 for the child's number in `fds` but received " + std::to_string(target));
    if (fcntl(source, F_GETFD) < 0)
      fail_call("spawn", errno, "descriptor " + std::to_string(source) + " of `fds` is not open here");
    list.push_back({target, source, -1});
  }
  // A process without these would hand the number to the first file that it opens.
  for (int standard = 0; standard < 3; standard++)
    if (std::none_of(list.begin(), list.end(), [standard](const auto& d) { return d.target == standard; }))
      list.push_back({standard, -1, -1});
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.target < b.target; });
  for (std::size_t i = 1; i < list.size(); i++)
    if (list[i].target == list[i - 1].target)
      fail_argument("spawn", "descriptor " + std::to_string(list[i].target) + " of the child is named twice in `fds`");
  return list;
}

std::vector<char*> pointers(const std::vector<std::string>& texts, const std::string* first) {
  std::vector<char*> list;
  if (first != nullptr) list.push_back(const_cast<char*>(first->c_str()));
  for (const std::string& text : texts) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

[[noreturn]] void report(const SpawnPlan& plan, const ChildPlan& child) {
  const std::string folder = plan.cwd.value_or("");
  switch (child.failed) {
    case ChildStep::kGroup:
      fail_call("setpgid", child.error, "in the new process");
    case ChildStep::kDeathSignal:
      fail_call("prctl(PR_SET_PDEATHSIG)", child.error, "in the new process");
    case ChildStep::kAffinity:
      fail_call("sched_setaffinity", child.error, "`cpus` names no CPU that this process may use; see cpu().allowed");
    case ChildStep::kDescriptors:
      fail_call("dup", child.error, "raise the limit of open files (ulimit -n) or pass fewer descriptors");
    case ChildStep::kFolder:
      fail_call("chdir " + folder, child.error, "`cwd` must be a folder that exists");
    default:
      break;
  }
  std::string advice = "check that the file exists, is executable and made for this machine";
  // The kernel says ENOENT also when the interpreter of a script or the loader of a binary is missing.
  if (child.error == ENOENT && access(child.file, F_OK) == 0)
    advice = "the file exists: the interpreter in its first line, or its loader, does not";
  if (child.error == E2BIG) advice = "arguments and environment are too long together";
  fail_call("exec " + std::string(child.file), child.error, advice);
}

}  // namespace

Spawned spawn(const SpawnPlan& plan) {
  const std::string file = find_executable(plan.file, plan.env);
  std::vector<ChildPlan::Descriptor> descriptors = descriptors_of(plan);
  const std::vector<char*> argv = pointers(plan.args, &plan.file);
  const std::vector<char*> envp = pointers(plan.env, nullptr);
  const CpuMask mask = plan.cpus ? CpuMask("spawn", *plan.cpus) : CpuMask();

  ChildPlan child;
  child.file = file.c_str();
  child.argv = argv.data();
  child.envp = envp.data();
  child.cwd = plan.cwd ? plan.cwd->c_str() : nullptr;
  child.death_signal = plan.parent_death_signal;
  child.parent = getpid();
  child.cpus = mask.set();
  child.cpus_bytes = mask.bytes();
  child.descriptors = descriptors.data();
  child.descriptor_count = descriptors.size();
  child.first_high = descriptors.back().target + 1;

  const ChildStack stack;
  Spawned spawned;
  int error = 0;
  {
    const auto held = lock_tracked();
    const SignalBlock quiet;
    int pidfd = -1;
    // Like posix_spawn: the child borrows our memory until exec, so nothing is copied however large Node has grown.
    spawned.pid = clone(run_child, stack.top(), CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &child, &pidfd);
    error = errno;
    if (spawned.pid > 0) {
      spawned.pidfd.reset(pidfd);
      track(held, spawned.pid);
    }
  }
  if (spawned.pid < 0)
    fail_call("clone", error, "raise the limit of processes (ulimit -u, pids cgroup) or of open files");
  if (child.failed != ChildStep::kNone) {
    while (waitpid(spawned.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    untrack(spawned.pid);
    report(plan, child);
  }
  return spawned;
}

}  // namespace twinkle
