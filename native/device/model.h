// What a vendor tells of its devices: the same words as in src/native/types.ts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dl/library.h"

namespace twinkle {

struct DeviceProcess {
  int pid = 0;
  std::optional<std::uint64_t> memory_bytes;
};

struct DeviceInfo {
  std::string kind;    // gpu | npu
  std::string vendor;  // nvidia | ascend | fake
  int index = 0;
  std::string uuid;
  std::string name;
  std::optional<std::string> pci_bus_id;
  std::uint64_t memory_total = 0;
  std::uint64_t memory_used = 0;
  std::optional<std::string> compute_capability;
  std::optional<std::string> driver_version;
  std::optional<int> numa_node;
  std::string health = "ok";
  std::vector<DeviceProcess> processes;
};

struct DeviceLink {
  int a = 0;
  int b = 0;
  std::string kind = "unknown";
  int lanes = 0;
};

struct DeviceReport {
  std::vector<DeviceInfo> devices;
  std::vector<DeviceLink> links;
  std::vector<LibraryStatus> libraries;
};

}  // namespace twinkle
