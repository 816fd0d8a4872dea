// NVIDIA devices through NVML, opened at run time.
#pragma once

#include "device/model.h"
#include "device/nvml_abi.h"

namespace twinkle {

/// Adds NVIDIA's devices, their links and the state of the library. Never throws for absence.
void survey_nvidia(DeviceReport& report);

/// Relations of all pairs; `handles[i]` belongs to `devices[i]`.
std::vector<DeviceLink> nvidia_links(const nvml::Api& api, const std::vector<DeviceInfo>& devices,
                                     const std::vector<nvml::Device>& handles);

}  // namespace twinkle
