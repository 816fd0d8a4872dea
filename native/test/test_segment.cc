#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "check.h"
#include "memory/limits.h"
#include "memory/segment.h"
#include "text.h"

using namespace twinkle;

CASE(two_mappings_share_pages) {
  Segment made = Segment::create("shared", 5000, false, Registrar::kNone);
  CHECK_EQ(made.size() % static_cast<std::size_t>(sysconf(_SC_PAGESIZE)), 0U);
  const Segment other = Segment::open(dup(made.fd()), "other");
  std::memcpy(made.address(), "twinkle", 8);
  CHECK_EQ(std::string(static_cast<const char*>(other.address())), "twinkle");
  made.close();
  made.close();
  CHECK(made.closed());
  CHECK_EQ(std::string(static_cast<const char*>(other.address())), "twinkle");
}

CASE(size_is_sealed) {
  const Segment segment = Segment::create("sealed", 4096, false, Registrar::kNone);
  CHECK_EQ(ftruncate(segment.fd(), 1), -1);
  CHECK_EQ(errno, EPERM);
  CHECK_EQ(ftruncate(segment.fd(), 1 << 20), -1);
  CHECK(check::contains(read_text("/proc/self/maps").value_or(""), "memfd:sealed"));
}

CASE(refused) {
  const auto create = [](const char* name, std::uint64_t size) {
    return check::thrown([=] { Segment::create(name, size, false, Registrar::kNone); });
  };
  CHECK_HAS(create("", 1), "expected 1 to 249 bytes");
  CHECK_HAS(create("a/b", 1), "without `/`");
  CHECK_HAS(create("a", 0), "at least 1 byte");
  CHECK_HAS(create("a", std::uint64_t{1} << 50), "SHM_FULL: memory is exhausted");
}

CASE(foreign_descriptors) {
  CHECK_HAS(check::thrown([] { Segment::open(9999, "x"); }), "EBADF");
  int ends[2];
  CHECK_EQ(pipe(ends), 0);
  CHECK_HAS(check::thrown([&] { Segment::open(ends[0], "x"); }), "expected a memfd with a size");
  // Not sealable, so it could shrink under the mapping.
  const UniqueFd loose(memfd_create("loose", MFD_CLOEXEC));
  CHECK_EQ(ftruncate(loose.get(), 4096), 0);
  CHECK_HAS(check::thrown([&] { Segment::open(loose.get(), "x"); }), "can be shrunk by its maker");
  CHECK(fcntl(loose.get(), F_GETFD) >= 0);
  // Sealable but not sealed yet: sealed on the way in.
  const int open_end = memfd_create("sealable", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  CHECK_EQ(ftruncate(open_end, 4096), 0);
  const Segment taken = Segment::open(open_end, "x");
  CHECK_EQ(ftruncate(taken.fd(), 1), -1);
  close(ends[0]);
  close(ends[1]);
}

CASE(mlock_limit) {
  const Segment small = Segment::create("locked", 4096, true, Registrar::kNone);
  CHECK(small.locked());
  rlimit limit{8192, 8192};
  CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
  CHECK_EQ(memlock_limit().soft.value_or(0), 8192U);
  // What happens over the limit is tested from JavaScript: the sanitizers turn mlock into nothing.
}
