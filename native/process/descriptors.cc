#include "process/descriptors.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "failure.h"

namespace twinkle {
namespace {

constexpr std::size_t kMostFds = 253;  // SCM_MAX_FD of the kernel

// A stream socket may take a part of a message; the rest could only follow when the peer reads, so ask for room first.
// The kernel charges each message for its bookkeeping too: twice the bytes and a page are more than it takes.
void ensure_room(int socket, std::size_t size) {
  int buffer = 0;
  socklen_t length = sizeof buffer;
  int queued = 0;
  if (getsockopt(socket, SOL_SOCKET, SO_SNDBUF, &buffer, &length) != 0) fail_call("getsockopt", errno, "pass a socket");
  if (ioctl(socket, SIOCOUTQ, &queued) != 0) fail_call("ioctl(SIOCOUTQ)", errno, "pass an AF_UNIX socket");
  const std::size_t need = 2 * size + 4096;
  if (need > static_cast<std::size_t>(buffer))
    fail_call("sendmsg", EMSGSIZE,
              std::to_string(size) + " bytes are too many for one message; send less than " +
                  std::to_string((buffer - 4096) / 2));
  if (queued > 0 && need > static_cast<std::size_t>(buffer) - std::min<std::size_t>(static_cast<std::size_t>(queued),
                                                                                    static_cast<std::size_t>(buffer)))
    fail_call("sendmsg", EAGAIN, "the peer does not read: " + std::to_string(queued) + " bytes wait in the socket");
}

}  // namespace

std::pair<int, int> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail_call("pipe2", errno, "raise the limit of open files (ulimit -n)");
  return {ends[0], ends[1]};
}

std::pair<int, int> make_socket_pair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    fail_call("socketpair", errno, "raise the limit of open files (ulimit -n)");
  return {ends[0], ends[1]};
}

void send_fds(int socket, const void* data, std::size_t size, const std::vector<int>& fds) {
  if (size == 0) fail_argument("sendFds", "expected at least 1 byte for `data`: descriptors travel with bytes");
  if (fds.size() > kMostFds)
    fail_argument("sendFds", "expected at most 253 descriptors for `fds` but received " + std::to_string(fds.size()));
  for (const int fd : fds)
    if (fcntl(fd, F_GETFD) < 0)
      fail_call("sendFds", errno, "descriptor " + std::to_string(fd) + " of `fds` is not open here");
  ensure_room(socket, size);

  iovec bytes{const_cast<void*>(data), size};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  std::vector<unsigned char> control(fds.empty() ? 0 : CMSG_SPACE(fds.size() * sizeof(int)));
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
  }
  ssize_t sent = 0;
  do {
    sent = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) {
    const int error = errno;
    fail_call("sendmsg", error,
              error == EAGAIN                         ? "the peer does not read"
              : error == EPIPE || error == ECONNRESET ? "the peer closed its end"
                                                      : "");
  }
  if (static_cast<std::size_t>(sent) != size)
    fail_call("sendmsg", EIO,
              "only " + std::to_string(sent) + " of " + std::to_string(size) +
                  " bytes were taken; close the socket, its stream is cut");
}

void close_fd(int fd) {
  // The kernel reports only a wrong number here; after EINTR and EIO the descriptor is closed all the same.
  if (close(fd) != 0 && errno == EBADF) fail_call("close", EBADF, "descriptor " + std::to_string(fd) + " is not open");
}

}  // namespace twinkle
