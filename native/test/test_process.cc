#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <mutex>

#include "check.h"
#include "process/adopted.h"
#include "process/affinity.h"
#include "process/capture.h"
#include "process/descriptors.h"
#include "process/executable.h"
#include "process/reaper.h"
#include "process/sd_notify.h"
#include "process/spawn.h"
#include "process/tracked.h"
#include "rendezvous/listen.h"
#include "rendezvous/route.h"
#include "text.h"

using namespace twinkle;

namespace {

// A reaper whose ends can be waited for.
class Waiter {
 public:
  Waiter()
      : reaper([this] {
          const std::lock_guard lock(mutex_);
          ready_ = true;
          condition_.notify_all();
        }) {}

  ProcessExit next() {
    while (ends_.empty()) {
      std::unique_lock lock(mutex_);
      if (!condition_.wait_for(lock, std::chrono::seconds(20), [this] { return ready_; }))
        throw std::runtime_error("no end came");
      ready_ = false;
      lock.unlock();
      for (const ProcessExit& end : reaper.take()) ends_.push_back(end);
    }
    const ProcessExit end = ends_.front();
    ends_.erase(ends_.begin());
    return end;
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool ready_ = false;
  std::vector<ProcessExit> ends_;

 public:
  Reaper reaper;  // last: its thread uses the rest
};

SpawnPlan shell(const std::string& script) {
  SpawnPlan plan;
  plan.file = "/bin/sh";
  plan.args = {"-c", script};
  plan.env = {"PATH=/usr/bin:/bin"};
  return plan;
}

std::string read_all(int fd) {
  std::string text;
  char block[512];
  for (ssize_t got = 0; (got = read(fd, block, sizeof block)) > 0;) text.append(block, static_cast<std::size_t>(got));
  return text;
}

// Output of a script whose descriptor 1 is a pipe.
std::string output_of(SpawnPlan plan) {
  const auto [from, to] = make_pipe();
  plan.fds.emplace_back(1, to);
  Waiter waiter;
  waiter.reaper.add(spawn(plan));
  close(to);
  const std::string text = read_all(from);
  close(from);
  waiter.next();
  return text;
}

}  // namespace

CASE(exit_code_signal_and_usage) {
  Waiter waiter;
  waiter.reaper.add(spawn(shell("exit 3")));
  const ProcessExit code = waiter.next();
  CHECK_EQ(code.code.value_or(-1), 3);
  CHECK(!code.signal && code.child);
  CHECK(code.max_rss_kb > 0);
  Spawned killed = spawn(shell("kill -9 $$"));
  const pid_t pid = killed.pid;
  waiter.reaper.add(std::move(killed));
  const ProcessExit signal = waiter.next();
  CHECK_EQ(signal.pid, pid);
  CHECK_EQ(signal.signal.value_or(-1), 9);
  CHECK(!signal.code);
}

CASE(failures_are_synchronous) {
  const auto failure = [](SpawnPlan plan) { return check::thrown([&] { spawn(plan); }); };
  SpawnPlan plan = shell("true");
  plan.file = "/nowhere/program";
  CHECK_HAS(failure(plan), "NATIVE: exec /nowhere/program failed with ENOENT");
  plan.file = "no-such-program-here";
  CHECK_HAS(failure(plan), "it is in no folder of PATH (/usr/bin:/bin)");
  plan.file = "/etc/passwd";
  CHECK_HAS(failure(plan), "EACCES");
  const check::Folder folder;
  folder.write("/script", "#!/nowhere/interpreter\n");
  std::filesystem::permissions(folder.path() + "/script", std::filesystem::perms::all);
  plan.file = folder.path() + "/script";
  CHECK_HAS(failure(plan), "the interpreter in its first line");
  plan = shell("true");
  plan.cwd = "/nowhere";
  CHECK_HAS(failure(plan), "chdir /nowhere failed with ENOENT");
  plan = shell("true");
  plan.fds = {{5, 9999}};
  CHECK_HAS(failure(plan), "descriptor 9999 of `fds` is not open here");
  plan.fds = {{5, 0}, {5, 0}};
  CHECK_HAS(failure(plan), "named twice");
  plan.fds = {{5000, 0}};
  CHECK_HAS(failure(plan), "expected 0 to 4095");
  plan = shell("true");
  plan.cpus = std::vector<int>{};
  CHECK_HAS(failure(plan), "at least one CPU");
  plan.cpus = {4000};
  CHECK_HAS(failure(plan), "sched_setaffinity failed with EINVAL");
  // No child of the failed attempts is left.
  CHECK_EQ(waitpid(-1, nullptr, WNOHANG), -1);
  CHECK_EQ(errno, ECHILD);
}

CASE(path_lookup) {
  CHECK_EQ(find_executable("./x", {}), "./x");
  CHECK_HAS(find_executable("sh", {}), "/bin/sh");
  const check::Folder folder;
  folder.write("/tool", "x");
  CHECK_HAS(check::thrown([&] { find_executable("tool", {"PATH=" + folder.path()}); }), "EACCES");
}

CASE(group_environment_folder) {
  SpawnPlan plan = shell("echo $$ $(ps -o pgid= -p $$) $A $(pwd)");
  plan.env.emplace_back("A=b c");
  plan.cwd = "/usr";
  const std::string text = output_of(plan);
  const auto pieces = words(text);
  CHECK_EQ(pieces.size(), 5U);
  CHECK_EQ(std::string(pieces[0]), std::string(pieces[1]));
  CHECK_EQ(std::string(pieces[2]), "b");
  CHECK_EQ(std::string(pieces[4]), "/usr");
}

CASE(standard_descriptors_and_nothing_else) {
  const UniqueFd leaked(open("/dev/zero", O_RDONLY));  // without close-on-exec
  // 3 is the folder that ls itself reads.
  CHECK_EQ(output_of(shell("readlink /proc/self/fd/0 /proc/self/fd/2; ls -m /proc/self/fd")),
           "/dev/null\n/dev/null\n0, 1, 2, 3\n");
}

CASE(descriptors_on_an_old_kernel) {
  // A kernel without close_range, in a process of its own: the filter stays for good.
  const pid_t pid = fork();
  if (pid == 0) {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{4, code};
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    for (int i = 0; i < 300; i++) CHECK(open("/dev/zero", O_RDONLY) >= 0);
    SpawnPlan plan = shell("ls -m /proc/self/fd");
    plan.fds = {{7, 0}};
    CHECK_EQ(output_of(plan), "0, 1, 2, 3, 7\n");
    _exit(check::failures() == 0 ? 0 : 1);
  }
  int status = 0;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
}

CASE(overlapping_descriptors) {
  // Child numbers that are other entries' sources: a swap, a chain and itself.
  const auto [a_read, a_write] = make_pipe();
  const auto [b_read, b_write] = make_pipe();
  CHECK_EQ(write(a_write, "A", 1), 1);
  CHECK_EQ(write(b_write, "B", 1), 1);
  SpawnPlan plan = shell("head -c1 <&" + std::to_string(a_read) + "; head -c1 <&" + std::to_string(b_read));
  plan.fds = {{a_read, b_read}, {b_read, a_read}, {a_write, a_write}};
  CHECK_EQ(output_of(plan), "BA");
  for (const int fd : {a_read, a_write, b_read, b_write}) close(fd);
}

CASE(signals_are_reset) {
  signal(SIGPIPE, SIG_IGN);
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, &old);
  const std::string text = output_of(shell("grep -E 'Sig(Blk|Ign)' /proc/$$/status | cut -f2 | tr '\\n' ' '"));
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  CHECK_EQ(text, "0000000000000000 0000000000000000 ");
}

CASE(pinned) {
  SpawnPlan plan = shell("grep Cpus_allowed_list /proc/$$/status | cut -f2");
  plan.cpus = {0};
  CHECK_EQ(output_of(plan), "0\n");
  set_affinity(0, {0});
  CHECK_HAS(check::thrown([] { set_affinity(0, {4000}); }), "EINVAL");
  CHECK_HAS(check::thrown([] { set_affinity(1 << 22, {0}); }), "does not exist");
}

CASE(watched) {
  Waiter waiter;
  // A grandchild: its parent prints its pid and waits for it.
  const auto [from, to] = make_pipe();
  const auto [hold_read, hold_write] = make_pipe();
  SpawnPlan plan = shell("head -c1 <&3 >/dev/null & echo $! ; wait");
  plan.fds = {{1, to}, {3, hold_read}};
  waiter.reaper.add(spawn(plan));
  close(to);
  close(hold_read);
  char text[32] = {};
  CHECK(read(from, text, sizeof text - 1) > 0);
  const pid_t grandchild = std::atoi(text);
  waiter.reaper.watch(grandchild);
  CHECK_HAS(check::thrown([&] { waiter.reaper.watch(grandchild); }), "awaited already");
  close(hold_write);
  const ProcessExit end = waiter.next();
  CHECK_EQ(end.pid, grandchild);
  CHECK(!end.child && !end.code && !end.signal);
  CHECK_EQ(waiter.next().code.value_or(-1), 0);
  CHECK_HAS(check::thrown([&] { waiter.reaper.watch(grandchild); }), "already gone");
  close(from);
}

CASE(adopted) {
  set_subreaper(true);
  Waiter waiter;
  const auto [from, to] = make_pipe();
  SpawnPlan plan = shell("(sleep 100 & echo $!) ; (sleep 101 & echo $!)");
  plan.fds = {{1, to}};
  Spawned spawned = spawn(plan);
  const pid_t group = spawned.pid;
  waiter.reaper.add(std::move(spawned));
  close(to);
  waiter.next();
  // The sleepers still hold the pipe: read the two lines, not to the end.
  std::string text;
  char c = 0;
  for (int lines = 0; lines < 2 && read(from, &c, 1) == 1; lines += c == '\n' ? 1 : 0) text += c;
  const auto pids = words(text);
  CHECK_EQ(pids.size(), 2U);
  kill(-group, SIGKILL);
  // The kernel hands orphans over and ends them in its own time; waitid without reaping tells when.
  for (const auto& pid : pids) {
    siginfo_t info{};
    waitid(P_PID, static_cast<id_t>(*parse_u64(pid)), &info, WEXITED | WNOWAIT);
  }
  CHECK(reap_adopted({group + 1}).empty());
  CHECK_EQ(reap_adopted({group}).size(), 2U);
  CHECK(reap_adopted({group}).empty());
  close(from);
  set_subreaper(false);
}

CASE(reaper_ends_with_living_processes) {
  pid_t pid = 0;
  {
    Waiter waiter;
    Spawned spawned = spawn(shell("sleep 100"));
    pid = spawned.pid;
    waiter.reaper.add(std::move(spawned));
  }
  CHECK_EQ(kill(-pid, SIGKILL), 0);
  int status = 0;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(!is_tracked(lock_tracked(), pid));
}

CASE(captured) {
  CHECK_EQ(capture({"echo", "hi"}, 10'000).output, "hi\n");
  CHECK_EQ(capture({"/bin/sh", "-c", "exit 4"}, 10'000).describe(), "exit code 4");
  CHECK_EQ(capture({"/bin/sh", "-c", "exec >&-; exit 5"}, 10'000).describe(), "exit code 5");
  CHECK_HAS(check::thrown([] { capture({"/bin/sh", "-c", "sleep 100 & sleep 100"}, 100); }), "ETIMEDOUT");
  CHECK_HAS(check::thrown([] { capture({"no-such-tool"}, 100); }), "ENOENT");
}

CASE(descriptors_travel) {
  const auto [here, there] = make_socket_pair();
  const auto [from, to] = make_pipe();
  send_fds(here, "hello", 5, {to});
  close(to);
  char data[16] = {};
  alignas(cmsghdr) char control[64];
  iovec bytes{data, sizeof data};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  CHECK_EQ(recvmsg(there, &message, 0), 5);
  CHECK_EQ(std::string(data), "hello");
  int received = -1;
  std::memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof received);
  CHECK_EQ(write(received, "x", 1), 1);
  close(received);
  CHECK_EQ(read_all(from), "x");
  CHECK_HAS(check::thrown([&, h = here] { send_fds(h, "", 0, {}); }), "at least 1 byte");
  CHECK_HAS(check::thrown([&, h = here] { send_fds(h, "x", 1, {9999}); }), "descriptor 9999");
  const std::string large(1 << 20, 'x');
  CHECK_HAS(check::thrown([&, h = here] { send_fds(h, large.data(), large.size(), {}); }), "EMSGSIZE");
  const std::string medium(30000, 'x');
  std::string full;
  for (int i = 0; i < 100 && full.empty(); i++)
    full = check::thrown([&, h = here] { send_fds(h, medium.data(), medium.size(), {}); });
  CHECK_HAS(full, "EAGAIN");
  close(there);
  CHECK_HAS(check::thrown([&, h = here] { send_fds(h, "x", 1, {}); }), "the peer closed its end");
  close(from);
  close_fd(here);
  CHECK_HAS(check::thrown([h = here] { close_fd(h); }), "EBADF");
}

CASE(notify) {
  unsetenv("NOTIFY_SOCKET");
  CHECK(!sd_notify("READY=1"));
  setenv("NOTIFY_SOCKET", "relative", 1);
  CHECK_HAS(check::thrown([] { sd_notify("READY=1"); }), "expected a path or @name");
  setenv("NOTIFY_SOCKET", "/nowhere/socket", 1);
  CHECK_HAS(check::thrown([] { sd_notify("READY=1"); }), "ENOENT");
}

CASE(listening) {
  const BoundSocket bound = listen_socket("127.0.0.1", 0, 8);
  CHECK(bound.port > 0);
  CHECK_EQ(bound.host, "127.0.0.1");
  CHECK((fcntl(bound.fd, F_GETFD) & FD_CLOEXEC) != 0);
  CHECK((fcntl(bound.fd, F_GETFL) & O_NONBLOCK) == 0);
  CHECK_HAS(check::thrown([&] { listen_socket("127.0.0.1", bound.port, 8); }), "bind failed with EADDRINUSE");
  CHECK_HAS(check::thrown([] { listen_socket("192.0.2.1", 0, 8); }), "is not an address of this host");
  CHECK_HAS(check::thrown([] { listen_socket("not an address", 0, 8); }), "expected an address of this host");
  close(bound.fd);
}

CASE(routes) {
  CHECK_EQ(route_to("127.0.0.1").interface, "lo");
  CHECK_EQ(route_to("127.0.0.9").interface, "lo");
  CHECK_HAS(check::thrown([] { route_to("localhost"); }), "expected an IP address");
}
