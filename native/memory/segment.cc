#include "memory/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "failure.h"
#include "memory/limits.h"

namespace twinkle {
namespace {

constexpr std::size_t kLongestName = 249;  // of memfd_create, less the kernel's own `memfd:`

[[noreturn]] void full(const std::string& why, std::uint64_t need, std::uint64_t available) {
  throw Failure("SHM_FULL", why + ": a segment needs " + std::to_string(need) + " bytes and " +
                                std::to_string(available) +
                                " can be allocated; close other segments, make it smaller or raise the memory limit")
      .with("needBytes", static_cast<double>(need))
      .with("availableBytes", static_cast<double>(available));
}

void check_name(const char* call, const std::string& name) {
  if (name.empty() || name.size() > kLongestName || name.find('/') != std::string::npos)
    fail_argument(call, "expected 1 to 249 bytes without `/` for `name` but received \"" + name.substr(0, 260) + "\"");
}

}  // namespace

Segment::Segment(std::string name, std::size_t size, UniqueFd fd)
    : name_(std::move(name)), size_(size), fd_(std::move(fd)) {}

Segment::Segment(Segment&& other) noexcept
    : name_(std::move(other.name_)),
      size_(other.size_),
      fd_(std::move(other.fd_)),
      address_(std::exchange(other.address_, nullptr)),
      locked_(other.locked_),
      unregister_(std::exchange(other.unregister_, nullptr)) {}

Segment Segment::create(const std::string& name, std::uint64_t size, bool lock, Registrar registrar) {
  check_name("segmentCreate", name);
  if (size == 0) fail_argument("segmentCreate", "expected at least 1 byte for `size` but received 0");
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const std::uint64_t rounded = (size + page - 1) / page * page;
  // Asked first: in a cgroup, allocating over the limit calls the OOM killer instead of failing.
  const std::uint64_t available = allocatable_bytes();
  if (rounded > available) full("memory is exhausted", rounded, available);

  UniqueFd fd(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) fail_call("memfd_create", errno, "raise the limit of open files or free memory");
  if (ftruncate(fd.get(), static_cast<off_t>(rounded)) != 0) fail_call("ftruncate", errno, "make the segment smaller");
  int error = 0;
  do {
    error = fallocate(fd.get(), 0, 0, static_cast<off_t>(rounded)) == 0 ? 0 : errno;
  } while (error == EINTR);
  if (error == ENOMEM || error == ENOSPC) full("fallocate failed with " + errno_name(error), rounded, available);
  if (error != 0) fail_call("fallocate", error, "this kernel cannot allocate a memfd in advance");
  // No F_SEAL_WRITE: both sides write. The size must not change under a mapping.
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    fail_call("fcntl(F_ADD_SEALS)", errno, "this kernel cannot seal a memfd");

  Segment segment(name, rounded, std::move(fd));
  segment.map();
  if (lock) segment.lock();
  segment.unregister_ = register_pages(registrar, segment.address_, segment.size_);
  return segment;
}

Segment Segment::open(int fd, const std::string& name) {
  check_name("segmentOpen", name);
  struct stat facts{};
  if (fstat(fd, &facts) != 0) fail_call("fstat", errno, "pass an open descriptor of a memfd");
  if (!S_ISREG(facts.st_mode) || facts.st_size <= 0)
    fail_argument("segmentOpen", "expected a memfd with a size for `fd` but received descriptor " + std::to_string(fd));
  // Without the seal its maker could shrink it, and reading it here would end this process with SIGBUS.
  int seals = fcntl(fd, F_GET_SEALS);
  if (seals >= 0 && (seals & F_SEAL_SHRINK) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0) seals |= F_SEAL_SHRINK;
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0)
    fail_argument("segmentOpen",
                  "descriptor " + std::to_string(fd) +
                      " can be shrunk by its maker; make it with memfd_create(…, MFD_ALLOW_SEALING) and F_SEAL_SHRINK");
  // Taken over only by success: until then the caller may close it.
  Segment segment(name, static_cast<std::size_t>(facts.st_size), UniqueFd());
  segment.fd_.reset(fd);
  try {
    segment.map();
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) fail_call("fcntl(F_SETFD)", errno, "");
  } catch (...) {
    segment.fd_.release();
    throw;
  }
  return segment;
}

void Segment::map() {
  void* address = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
  if (address == MAP_FAILED) fail_call("mmap", errno, "the segment must be writable and fit the address space");
  address_ = address;
}

void Segment::lock() {
  if (mlock(address_, size_) == 0) {
    locked_ = true;
    return;
  }
  const int error = errno;
  if (error != ENOMEM && error != EPERM && error != EAGAIN) fail_call("mlock", error, "");
  const MemlockLimit limit = memlock_limit();
  const std::string soft = limit.soft ? std::to_string(*limit.soft) + " bytes" : "unlimited";
  throw Failure("MEMLOCK_LIMIT", "mlock failed with " + errno_name(error) + ": " + std::to_string(size_) +
                                     " bytes are to be locked and RLIMIT_MEMLOCK is " + soft +
                                     "; raise it (ulimit -l, LimitMEMLOCK= in systemd, --ulimit memlock=-1 in Docker)")
      .from("mlock", error)
      .with("needBytes", static_cast<double>(size_))
      .with("limitBytes", limit.soft ? static_cast<double>(*limit.soft) : -1.0);
}

void Segment::close() {
  if (address_ == nullptr) return;
  if (unregister_) std::exchange(unregister_, nullptr)();
  munmap(std::exchange(address_, nullptr), size_);
  fd_.reset();
}

}  // namespace twinkle
