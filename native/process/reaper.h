// Waits for the ends of processes on a thread of its own, by pidfd. It must not know JavaScript.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "process/spawn.h"
#include "unique_fd.h"

namespace twinkle {

/// The same words as ProcessExit of src/native/types.ts.
struct ProcessExit {
  pid_t pid = 0;
  std::optional<int> code;
  std::optional<int> signal;
  bool child = false;
  double max_rss_kb = 0;
  double user_ms = 0;
  double system_ms = 0;
};

class Reaper {
 public:
  /// @param notify called on the reaper's thread when take() has something new
  explicit Reaper(std::function<void()> notify);
  /// Stops and joins the thread; processes live on.
  ~Reaper();
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  /// A process of our own spawn().
  void add(Spawned spawned);
  /// A process of somebody else. Throws NATIVE when it is gone or already awaited here.
  void watch(pid_t pid);
  /// Ends that were not taken yet, oldest first.
  std::vector<ProcessExit> take();

 private:
  struct Entry {
    pid_t pid = 0;
    UniqueFd pidfd;
    bool ours = false;
    bool foreign_child = false;  // a child of this process that others (libuv) wait for
  };

  void insert(Entry entry);
  void run();
  void finish(int pidfd);

  std::function<void()> notify_;
  UniqueFd epoll_;
  UniqueFd wake_;
  std::mutex mutex_;
  std::map<int, Entry> entries_;  // by pidfd
  std::vector<ProcessExit> ended_;
  std::thread thread_;
};

}  // namespace twinkle
