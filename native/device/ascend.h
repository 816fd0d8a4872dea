// Ascend devices through DCMI, opened at run time; through the npu-smi tool where there is no DCMI.
#pragma once

#include "device/model.h"

namespace twinkle {

/// Adds Ascend's devices, their links and the state of the library. Never throws for absence.
void survey_ascend(DeviceReport& report);

}  // namespace twinkle
