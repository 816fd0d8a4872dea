// All devices of this host: fake ones when asked for, else every vendor's.
#pragma once

#include "device/model.h"

namespace twinkle {

/// Never throws for an absent vendor; throws CONFIG_INVALID for a wrong `TWINKLE_FAKE_DEVICES`.
DeviceReport survey();

}  // namespace twinkle
