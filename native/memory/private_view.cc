#include "memory/private_view.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "failure.h"

namespace twinkle {

PrivateView PrivateView::map(int fd, std::uint64_t offset, std::uint64_t size) {
  struct stat facts{};
  if (fstat(fd, &facts) != 0) fail_call("fstat", errno, "pass an open descriptor of a memfd");
  const int seals = fcntl(fd, F_GET_SEALS);
  // Without the seal its maker could shrink it, and reading it here would end this process with SIGBUS.
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0)
    fail_argument("mapPrivate", "expected a memfd that is sealed against shrinking for `fd` but received descriptor " +
                                    std::to_string(fd));
  const auto whole = static_cast<std::uint64_t>(facts.st_size);
  if (size == 0 || offset > whole || size > whole - offset)
    fail_argument("mapPrivate", "expected a part of " + std::to_string(whole) + " bytes but received " +
                                    std::to_string(size) + " at " + std::to_string(offset));
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const std::uint64_t before = offset % page;
  const std::size_t length = size + before;
  void* pages = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd,
                     static_cast<off_t>(offset - before));
  if (pages == MAP_FAILED) fail_call("mmap", errno, "free memory, or raise vm.max_map_count");
  return PrivateView(pages, length, before);
}

PrivateView::PrivateView(PrivateView&& other) noexcept
    : pages_(std::exchange(other.pages_, nullptr)), length_(other.length_), before_(other.before_) {}

PrivateView::~PrivateView() {
  if (pages_ != nullptr) munmap(pages_, length_);
}

}  // namespace twinkle
