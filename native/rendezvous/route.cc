#include "rendezvous/route.h"

#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "failure.h"
#include "unique_fd.h"

namespace twinkle {
namespace {

bool same_address(const sockaddr* a, const sockaddr* b) {
  if (a->sa_family != b->sa_family) return false;
  if (a->sa_family == AF_INET)
    return reinterpret_cast<const sockaddr_in*>(a)->sin_addr.s_addr ==
           reinterpret_cast<const sockaddr_in*>(b)->sin_addr.s_addr;
  return std::memcmp(&reinterpret_cast<const sockaddr_in6*>(a)->sin6_addr,
                     &reinterpret_cast<const sockaddr_in6*>(b)->sin6_addr, sizeof(in6_addr)) == 0;
}

std::string interface_with(const sockaddr* address) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) fail_call("getifaddrs", errno, "");
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owned(list, freeifaddrs);
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next)
    if (entry->ifa_addr != nullptr && same_address(entry->ifa_addr, address)) return entry->ifa_name;
  // Any address of 127.0.0.0/8 is local, but only one of them is listed.
  if (address->sa_family == AF_INET &&
      (ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr) >> 24) == 127)
    return "lo";
  throw Failure("NATIVE", "the kernel routes from an address that no interface has; give the interface by hand");
}

}  // namespace

Route route_to(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  // Any port: a UDP connect only asks the routing table.
  const int status = getaddrinfo(host.c_str(), "9", &hints, &found);
  if (status != 0)
    fail_argument("routeTo", "expected an IP address for `host` but received \"" + host + "\"; resolve the name first");
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list(found, freeaddrinfo);
  const UniqueFd fd(socket(list->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) fail_call("socket", errno, host);
  if (connect(fd.get(), list->ai_addr, list->ai_addrlen) != 0)
    fail_call("connect", errno, "this host has no route to " + host);
  sockaddr_storage source{};
  socklen_t length = sizeof source;
  auto* address = reinterpret_cast<sockaddr*>(&source);
  if (getsockname(fd.get(), address, &length) != 0) fail_call("getsockname", errno, host);
  char text[NI_MAXHOST];
  if (getnameinfo(address, length, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0)
    throw Failure("NATIVE", "the source address towards " + host + " cannot be printed");
  return {interface_with(address), text};
}

}  // namespace twinkle
