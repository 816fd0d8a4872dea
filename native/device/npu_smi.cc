#include "device/npu_smi.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <map>

#include "device/pci.h"
#include "failure.h"
#include "process/capture.h"
#include "text.h"

namespace twinkle {
namespace {

constexpr std::uint64_t kMib = 1 << 20;
constexpr int kTimeoutMs = 10'000;

// Cells of `| a | b | c |`; empty for any other line.
std::vector<std::string_view> cells(std::string_view line) {
  line = trim(line);
  if (line.size() < 2 || line.front() != '|' || line.back() != '|') return {};
  std::vector<std::string_view> found;
  for (const std::string_view cell : split(line.substr(1, line.size() - 2), '|')) found.push_back(trim(cell));
  return found;
}

std::string lower(std::string_view text) {
  std::string copy(text);
  std::transform(copy.begin(), copy.end(), copy.begin(), [](unsigned char c) { return std::tolower(c); });
  return copy;
}

// The last `used / total` of a cell: HBM where the chip has it. The slash may stick to either number.
void read_memory_cell(std::string_view cell, DeviceInfo& info) {
  const std::size_t slash = cell.rfind('/');
  if (slash == std::string_view::npos) return;
  const auto before = words(cell.substr(0, slash));
  const auto after = words(cell.substr(slash + 1));
  if (before.empty() || after.empty()) return;
  info.memory_used = parse_u64(before.back()).value_or(0) * kMib;
  info.memory_total = parse_u64(after.front()).value_or(0) * kMib;
}

std::optional<std::string> version_of(std::string_view cell) {
  const std::size_t at = cell.find("Version:");
  if (at == std::string_view::npos) return std::nullopt;
  const auto rest = words(cell.substr(at + 8));
  if (rest.empty()) return std::nullopt;
  return std::string(rest.front());
}

}  // namespace

std::vector<DeviceInfo> parse_npu_smi(const std::string& table) {
  std::vector<DeviceInfo> devices;
  std::map<std::pair<std::string, std::string>, std::size_t> by_chip;  // (npu, chip) → position
  std::optional<std::string> version;
  std::string npu, name, health;
  bool processes = false;
  for (const std::string_view line : split(table, '\n')) {
    const auto row = cells(line);
    if (row.empty()) continue;
    if (row.size() == 1) {
      if (const auto found = version_of(row[0])) version = found;
      continue;
    }
    const auto first = words(row[0]);
    if (first.empty()) continue;
    if (row.size() >= 2 && row[1] == "Process id") processes = true;
    if (!parse_u64(first[0])) continue;
    if (processes) {
      if (row.size() < 4 || first.size() < 2) continue;
      const auto owner = by_chip.find({std::string(first[0]), std::string(first[1])});
      const auto pid = parse_u64(row[1]);
      if (owner == by_chip.end() || !pid) continue;
      DeviceProcess process{static_cast<int>(*pid), std::nullopt};
      if (const auto mib = parse_u64(row[3])) process.memory_bytes = *mib * kMib;
      devices[owner->second].processes.push_back(process);
    } else if (!normal_pci(std::string(row[1]))) {
      // First row of a device: NPU and name, health.
      npu = first[0];
      name = first.size() > 1 ? std::string(first[1]) : "";
      health = row[1];
    } else if (row.size() >= 3) {
      // Second row: chip, bus address, memory.
      DeviceInfo info;
      info.kind = "npu";
      info.vendor = "ascend";
      info.index = static_cast<int>(devices.size());
      info.name = name;
      info.pci_bus_id = normal_pci(std::string(row[1]));
      info.uuid = "NPU-" + *info.pci_bus_id;
      info.health = lower(health);
      info.driver_version = version;
      read_memory_cell(row[2], info);
      by_chip[{npu, std::string(first[0])}] = devices.size();
      devices.push_back(std::move(info));
    }
  }
  return devices;
}

void survey_npu_smi(DeviceReport& report) {
  const char* wanted = std::getenv("TWINKLE_NPU_SMI");
  LibraryStatus status;
  status.library = wanted != nullptr && *wanted != '\0' ? wanted : "npu-smi";
  try {
    const Captured run = capture({status.library, "info"}, kTimeoutMs);
    std::vector<DeviceInfo> devices = parse_npu_smi(run.output);
    if (run.status != 0) {
      status.reason = "`npu-smi info` ended with " + run.describe();
    } else if (devices.empty()) {
      status.reason = "`npu-smi info` printed no device that we can read";
    } else {
      status.loaded = true;
      status.path = run.file;
    }
    for (DeviceInfo& device : devices) {
      if (device.pci_bus_id) device.numa_node = pci_numa_node("", *device.pci_bus_id);
      if (status.loaded) report.devices.push_back(std::move(device));
    }
  } catch (const Failure& failure) {
    status.reason = failure.what();
  }
  report.libraries.push_back(std::move(status));
}

}  // namespace twinkle
