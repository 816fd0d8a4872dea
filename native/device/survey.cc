#include "device/survey.h"

#include <cstdlib>

#include "device/ascend.h"
#include "device/fake.h"
#include "device/nvml.h"

namespace twinkle {

DeviceReport survey() {
  const char* fake = std::getenv("TWINKLE_FAKE_DEVICES");
  if (fake != nullptr && *fake != '\0') return fake_devices(fake);
  DeviceReport report;
  survey_nvidia(report);
  survey_ascend(report);
  return report;
}

}  // namespace twinkle
