// Ascend devices from the table that `npu-smi info` prints: the fallback where libdcmi cannot be opened.
#pragma once

#include <string>
#include <vector>

#include "device/model.h"

namespace twinkle {

/// The devices of the table, in its order; index is the position, as ASCEND_RT_VISIBLE_DEVICES counts. Pure.
std::vector<DeviceInfo> parse_npu_smi(const std::string& table);

/// Runs the tool (`TWINKLE_NPU_SMI`, else npu-smi of PATH) and adds what it says. Never throws for absence.
void survey_npu_smi(DeviceReport& report);

}  // namespace twinkle
