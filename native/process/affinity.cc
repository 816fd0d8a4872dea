#include "process/affinity.h"

#include <cerrno>
#include <set>

#include "failure.h"
#include "text.h"

namespace twinkle {
namespace {

constexpr int kMostCpus = 65536;

}  // namespace

CpuMask::CpuMask(const std::string& call, const std::vector<int>& cpus) {
  if (cpus.empty()) fail_argument(call, "expected at least one CPU for `cpus` but received none");
  constexpr int bits = static_cast<int>(8 * sizeof(unsigned long));
  for (const int cpu : cpus) {
    if (cpu < 0 || cpu >= kMostCpus)
      fail_argument(call, "expected CPU numbers from 0 for `cpus` but received " + std::to_string(cpu));
    const auto word = static_cast<std::size_t>(cpu / bits);
    if (words_.size() <= word) words_.resize(word + 1, 0);
    words_[word] |= 1UL << (cpu % bits);
  }
}

void set_affinity(pid_t pid, const std::vector<int>& cpus) {
  const CpuMask mask("setAffinity", cpus);
  const std::string tasks = "/proc/" + (pid == 0 ? std::string("self") : std::to_string(pid)) + "/task";
  // A thread that starts meanwhile inherits from one of either kind: look again until no new one shows up.
  std::set<std::string> done;
  for (bool found_new = true; found_new;) {
    found_new = false;
    for (const std::string& name : list_folder(tasks)) {
      if (!done.insert(name).second) continue;
      found_new = true;
      const auto task = parse_u64(name);
      if (!task || sched_setaffinity(static_cast<pid_t>(*task), mask.bytes(), mask.set()) == 0) continue;
      // A thread other than the first may have ended.
      if (errno == ESRCH && name != std::to_string(pid)) continue;
      fail_call("sched_setaffinity", errno,
                errno == EINVAL ? "`cpus` names no CPU that the process may use; see cpu().allowed" : "");
    }
  }
  if (done.empty()) fail_call("sched_setaffinity", ESRCH, "process " + std::to_string(pid) + " does not exist");
}

}  // namespace twinkle
