// Which interface leads to a peer: what NCCL, HCCL and gloo must be told.
#pragma once

#include <string>

namespace twinkle {

struct Route {
  std::string interface;
  std::string source_address;
};

/// @param host an address, not a name. Sends nothing. Throws NATIVE.
Route route_to(const std::string& host);

}  // namespace twinkle
