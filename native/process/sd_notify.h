// sd_notify(3) without libsystemd.
#pragma once

#include <string>

namespace twinkle {

/// False when NOTIFY_SOCKET is not set. Throws NATIVE when it is and cannot be reached.
bool sd_notify(const std::string& state);

}  // namespace twinkle
