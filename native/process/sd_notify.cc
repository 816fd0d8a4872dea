#include "process/sd_notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "failure.h"
#include "unique_fd.h"

namespace twinkle {

bool sd_notify(const std::string& state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || *path == '\0') return false;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  if ((path[0] != '/' && path[0] != '@') || length >= sizeof address.sun_path)
    fail_argument("sdNotify",
                  std::string("expected a path or @name for `NOTIFY_SOCKET` but received \"") + path + "\"");
  std::memcpy(address.sun_path, path, length);
  // `@name` is an abstract socket: its first byte is zero.
  if (path[0] == '@') address.sun_path[0] = '\0';
  const UniqueFd socket_fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket_fd) fail_call("socket", errno, "");
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  if (sendto(socket_fd.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
             reinterpret_cast<const sockaddr*>(&address), size) < 0)
    fail_call("sendto", errno, std::string("the service manager's socket ") + path + " cannot be reached");
  return true;
}

}  // namespace twinkle
