#include "process/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>

// The child runs on a borrowed stack in the parent's memory and never returns: sanitizers would keep its poison.
#define TWINKLE_CHILD __attribute__((no_sanitize("address", "undefined")))

namespace twinkle {
namespace {

constexpr int kExitStatus = 127;
constexpr unsigned kLastFd = ~0U;

struct Dirent64 {
  std::uint64_t inode;
  std::int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[1];
};

[[noreturn]] TWINKLE_CHILD void stop(ChildPlan& plan, ChildStep step, int error) {
  plan.failed = step;
  plan.error = error;
  _exit(kExitStatus);
}

TWINKLE_CHILD void reset_signals() {
  struct sigaction standard;
  for (std::size_t i = 0; i < sizeof standard; i++) reinterpret_cast<volatile unsigned char*>(&standard)[i] = 0;
  standard.sa_handler = SIG_DFL;
  // Ignored ones too: Node ignores SIGPIPE and exec would keep that. Errors (SIGKILL, reserved ones) do not matter.
  for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &standard, nullptr);
}

// Kernels before 5.9 have no close_range: read the list of what is open.
TWINKLE_CHILD void close_listed(unsigned first, unsigned last) {
  const int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  alignas(8) char block[2048];
  for (;;) {
    const long got = syscall(SYS_getdents64, folder, block, sizeof block);
    if (got <= 0) break;
    for (long at = 0; at < got;) {
      const auto* entry = reinterpret_cast<const Dirent64*>(block + at);
      at += entry->length;
      unsigned fd = 0;
      bool number = entry->name[0] != '.';
      for (const char* c = entry->name; number && *c != '\0'; c++) fd = fd * 10 + static_cast<unsigned>(*c - '0');
      if (number && fd >= first && fd <= last && fd != static_cast<unsigned>(folder)) close(static_cast<int>(fd));
    }
  }
  close(folder);
}

TWINKLE_CHILD void close_between(unsigned first, unsigned last) {
  if (first > last) return;
#ifdef SYS_close_range
  if (syscall(SYS_close_range, first, last, 0U) == 0) return;
#endif
  close_listed(first, last);
}

TWINKLE_CHILD void place_descriptors(ChildPlan& plan) {
  // First all to numbers above every target: then no dup2 can overwrite a source that is still needed.
  for (std::size_t i = 0; i < plan.descriptor_count; i++) {
    ChildPlan::Descriptor& descriptor = plan.descriptors[i];
    const int source = descriptor.source >= 0 ? descriptor.source : open("/dev/null", O_RDWR | O_CLOEXEC);
    descriptor.high = source < 0 ? -1 : fcntl(source, F_DUPFD_CLOEXEC, plan.first_high);
    if (descriptor.high < 0) stop(plan, ChildStep::kDescriptors, errno);
  }
  for (std::size_t i = 0; i < plan.descriptor_count; i++)
    if (dup2(plan.descriptors[i].high, plan.descriptors[i].target) < 0) stop(plan, ChildStep::kDescriptors, errno);
  unsigned next = 0;
  for (std::size_t i = 0; i < plan.descriptor_count; i++) {
    const auto target = static_cast<unsigned>(plan.descriptors[i].target);
    if (target > next) close_between(next, target - 1);
    next = target + 1;
  }
  close_between(next, kLastFd);
}

}  // namespace

TWINKLE_CHILD int run_child(void* argument) {
  ChildPlan& plan = *static_cast<ChildPlan*>(argument);
  if (setpgid(0, 0) != 0) stop(plan, ChildStep::kGroup, errno);
  if (plan.death_signal) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) stop(plan, ChildStep::kDeathSignal, errno);
    // The parent may have ended just before: then the signal never comes.
    if (getppid() != plan.parent) _exit(kExitStatus);
  }
  reset_signals();
  if (plan.cpus != nullptr && sched_setaffinity(0, plan.cpus_bytes, plan.cpus) != 0)
    stop(plan, ChildStep::kAffinity, errno);
  place_descriptors(plan);
  if (plan.cwd != nullptr && chdir(plan.cwd) != 0) stop(plan, ChildStep::kFolder, errno);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(plan.file, plan.argv, plan.envp);
  stop(plan, ChildStep::kExec, errno);
}

}  // namespace twinkle
