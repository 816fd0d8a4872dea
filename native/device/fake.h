// Devices that do not exist, for machines without any: `TWINKLE_FAKE_DEVICES`. Pure.
#pragma once

#include <string>

#include "device/model.h"

namespace twinkle {

/// `gpu:8`, `npu:8`, or `gpu:4x40` for 40 GiB each. Fast links in islands of four, one NUMA node an island.
/// Throws CONFIG_INVALID for anything else.
DeviceReport fake_devices(const std::string& spec);

}  // namespace twinkle
