#include "process/reaper.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pthread.h>
#include <cerrno>
#include <csignal>

#include "failure.h"
#include "process/adopted.h"
#include "process/tracked.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

namespace twinkle {
namespace {

double milliseconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) * 1000 + static_cast<double>(time.tv_usec) / 1000;
}

}  // namespace

Reaper::Reaper(std::function<void()> notify)
    : notify_(std::move(notify)), epoll_(epoll_create1(EPOLL_CLOEXEC)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!epoll_ || !wake_) fail_call("epoll_create1", errno, "raise the limit of open files (ulimit -n)");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = wake_.get();
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) fail_call("epoll_ctl", errno, "");
  // Signals belong to Node's main thread: this one inherits a full mask.
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
    fail_call("pthread_create", error.code().value(), "raise the limit of threads (ulimit -u)");
  }
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  pthread_setname_np(thread_.native_handle(), "twinkle-reaper");
}

Reaper::~Reaper() {
  const std::uint64_t one = 1;
  while (write(wake_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
  thread_.join();
  for (const auto& [fd, entry] : entries_) untrack(entry.pid);
}

void Reaper::add(Spawned spawned) {
  const pid_t pid = spawned.pid;
  insert({pid, std::move(spawned.pidfd), true, false});
}

void Reaper::watch(pid_t pid) {
  if (pid <= 0) fail_argument("watch", "expected a pid for `pid` but received " + std::to_string(pid));
  Entry entry;
  entry.pid = pid;
  entry.pidfd.reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!entry.pidfd) {
    const int error = errno;
    fail_call("pidfd_open", error, error == ESRCH ? "process " + std::to_string(pid) + " is already gone" : "");
  }
  {
    const auto held = lock_tracked();
    if (is_tracked(held, pid))
      fail_argument("watch", "process " + std::to_string(pid) + " is awaited already: its end arrives at onExit");
    track(held, pid);
  }
  entry.foreign_child = is_child_of_others(pid);
  insert(std::move(entry));
}

void Reaper::insert(Entry entry) {
  const int fd = entry.pidfd.get();
  const std::lock_guard lock(mutex_);
  entries_.emplace(fd, std::move(entry));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return;
  const int error = errno;
  const pid_t pid = entries_.at(fd).pid;
  const bool ours = entries_.at(fd).ours;
  entries_.erase(fd);
  if (ours) {
    // Nobody would ever hear of its end: it must not live.
    kill(-pid, SIGKILL);
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  untrack(pid);
  fail_call("epoll_ctl", error, "raise fs.epoll.max_user_watches");
}

std::vector<ProcessExit> Reaper::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(ended_, {});
}

void Reaper::run() {
  epoll_event events[32];
  for (;;) {
    const int count = epoll_wait(epoll_.get(), events, 32, -1);
    if (count < 0 && errno != EINTR) return;
    bool any = false;
    for (int i = 0; i < count; i++) {
      if (events[i].data.fd == wake_.get()) return;
      finish(events[i].data.fd);
      any = true;
    }
    if (any) notify_();
  }
}

void Reaper::finish(int pidfd) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(pidfd);
  if (found == entries_.end()) return;
  const Entry& entry = found->second;
  ProcessExit end;
  end.pid = entry.pid;
  int status = 0;
  rusage usage{};
  pid_t reaped = 0;
  // A watched process may have become ours (subreaper) after its parent died: then its status is ours to read.
  if (entry.ours || !entry.foreign_child) {
    do {
      reaped = wait4(entry.pid, &status, WNOHANG, &usage);
    } while (reaped < 0 && errno == EINTR);
  }
  if (reaped == entry.pid) {
    end.child = true;
    if (WIFEXITED(status)) end.code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
    end.max_rss_kb = static_cast<double>(usage.ru_maxrss);
    end.user_ms = milliseconds(usage.ru_utime);
    end.system_ms = milliseconds(usage.ru_stime);
  }
  untrack(entry.pid);
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, pidfd, nullptr);
  entries_.erase(found);
  ended_.push_back(end);
}

}  // namespace twinkle
