// A bound, listening TCP socket that no event loop of this process ever sees.
#pragma once

#include <cstdint>
#include <string>

namespace twinkle {

struct BoundSocket {
  int fd = -1;
  std::string host;
  int port = 0;
};

/// Port 0 takes a free one. Blocking, close-on-exec. Throws NATIVE.
BoundSocket listen_socket(const std::string& host, int port, int backlog);

}  // namespace twinkle
