#include "device/fake.h"

#include <cstdio>

#include "failure.h"
#include "text.h"

namespace twinkle {
namespace {

constexpr int kIsland = 4;
constexpr std::uint64_t kMostDevices = 64;
constexpr std::uint64_t kMostGib = 4096;
constexpr std::uint64_t kGib = std::uint64_t{1} << 30;

struct Spec {
  bool gpu = true;
  int count = 0;
  std::uint64_t gib = 0;
};

Spec parse(const std::string& spec) {
  const std::string_view text = spec;
  const std::size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const std::string_view rest = colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  const std::size_t by = rest.find('x');
  const auto count = parse_u64(rest.substr(0, by));
  const bool gpu = kind == "gpu";
  const std::optional<std::uint64_t> gib =
      by == std::string_view::npos ? std::optional<std::uint64_t>(gpu ? 80 : 64) : parse_u64(rest.substr(by + 1));
  if ((!gpu && kind != "npu") || !count || *count < 1 || *count > kMostDevices || !gib || *gib < 1 || *gib > kMostGib)
    throw Failure("CONFIG_INVALID",
                  "expected gpu:N, npu:N or gpu:NxGIB (N from 1 to 64) for `TWINKLE_FAKE_DEVICES` but received \"" +
                      spec + "\"; set it right or unset it");
  return {gpu, static_cast<int>(*count), *gib};
}

std::string numbered(const char* format, int index) {
  char text[64];
  std::snprintf(text, sizeof text, format, static_cast<unsigned>(index));
  return text;
}

}  // namespace

DeviceReport fake_devices(const std::string& spec) {
  const Spec wanted = parse(spec);
  DeviceReport report;
  for (int index = 0; index < wanted.count; index++) {
    DeviceInfo device;
    device.kind = wanted.gpu ? "gpu" : "npu";
    device.vendor = "fake";
    device.index = index;
    device.uuid = numbered(wanted.gpu ? "GPU-fake-%04u" : "NPU-fake-%04u", index);
    device.name = wanted.gpu ? "Fake GPU" : "Fake NPU";
    device.pci_bus_id = numbered("0000:%02x:00.0", index + 1);
    device.memory_total = wanted.gib * kGib;
    if (wanted.gpu) device.compute_capability = "9.0";
    device.driver_version = "fake";
    device.numa_node = index / kIsland;
    report.devices.push_back(std::move(device));
    for (int other = 0; other < index; other++) {
      const bool together = other / kIsland == index / kIsland;
      const std::string fast = wanted.gpu ? "nvlink" : "hccs";
      report.links.push_back({other, index, together ? fast : "sys", together ? (wanted.gpu ? 18 : 7) : 0});
    }
  }
  report.libraries.push_back({"TWINKLE_FAKE_DEVICES=" + spec, true, std::nullopt, std::nullopt});
  return report;
}

}  // namespace twinkle
