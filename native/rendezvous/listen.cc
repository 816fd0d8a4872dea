#include "rendezvous/listen.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

#include "failure.h"
#include "unique_fd.h"

namespace twinkle {
namespace {

int port_of(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

std::string host_of(const sockaddr_storage& address, socklen_t length) {
  char text[NI_MAXHOST];
  const int status =
      getnameinfo(reinterpret_cast<const sockaddr*>(&address), length, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
  return status == 0 ? text : "";
}

}  // namespace

BoundSocket listen_socket(const std::string& host, int port, int backlog) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int status = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (status != 0)
    fail_argument("listenSocket", "expected an address of this host for `host` but received \"" + host + "\" (" +
                                      gai_strerror(status) + ")");
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list(found, freeaddrinfo);

  const std::string where = host + " port " + std::to_string(port);
  UniqueFd fd(socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) fail_call("socket", errno, where);
  const int on = 1;
  if (setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) fail_call("setsockopt", errno, where);
  if (bind(fd.get(), list->ai_addr, list->ai_addrlen) != 0) {
    const int error = errno;
    fail_call("bind", error,
              where + (error == EADDRINUSE      ? " is taken; stop who listens there or take port 0"
                       : error == EADDRNOTAVAIL ? " is not an address of this host"
                       : error == EACCES        ? " needs more privileges; take a port from 1024"
                                                : ""));
  }
  if (listen(fd.get(), backlog) != 0) fail_call("listen", errno, where);
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &length) != 0) fail_call("getsockname", errno, where);
  return {fd.release(), host_of(bound, length), port_of(bound)};
}

}  // namespace twinkle
