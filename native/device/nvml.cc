#include "device/nvml.h"

#include <cstring>
#include <mutex>

#include "device/pci.h"

namespace twinkle {
namespace {

using nvml::Api;
using nvml::Device;
using nvml::kSuccess;

// Opened and initialised once per process: nvmlInit takes tens of milliseconds on a machine with eight devices.
struct Session {
  Library library;
  Api api{};
  bool ready = false;
  std::string reason;
};

std::string words_of(const Api& api, const char* call, int status) {
  const std::string number = std::to_string(status);
  if (api.error_string == nullptr) return std::string(call) + " answered " + number;
  return std::string(call) + ": " + api.error_string(status) + " (" + number + ")";
}

void bind(const Library& library, Api& api) {
  const auto bind_one = [&library](auto& slot, const char* name) {
    slot = library.symbol<std::remove_reference_t<decltype(slot)>>(name);
  };
  bind_one(api.init, "nvmlInit_v2");
  bind_one(api.error_string, "nvmlErrorString");
  bind_one(api.driver_version, "nvmlSystemGetDriverVersion");
  bind_one(api.count, "nvmlDeviceGetCount_v2");
  bind_one(api.by_index, "nvmlDeviceGetHandleByIndex_v2");
  bind_one(api.name, "nvmlDeviceGetName");
  bind_one(api.uuid, "nvmlDeviceGetUUID");
  bind_one(api.memory, "nvmlDeviceGetMemoryInfo");
  bind_one(api.memory_v2, "nvmlDeviceGetMemoryInfo_v2");
  bind_one(api.pci, "nvmlDeviceGetPciInfo_v3");
  bind_one(api.capability, "nvmlDeviceGetCudaComputeCapability");
  bind_one(api.processes, "nvmlDeviceGetComputeRunningProcesses_v3");
  // _v2 has the same entries; the unnumbered one has shorter ones and is not worth a second layout.
  if (api.processes == nullptr) bind_one(api.processes, "nvmlDeviceGetComputeRunningProcesses_v2");
  bind_one(api.ancestor, "nvmlDeviceGetTopologyCommonAncestor");
  bind_one(api.p2p, "nvmlDeviceGetP2PStatus");
  bind_one(api.link_state, "nvmlDeviceGetNvLinkState");
  bind_one(api.link_remote, "nvmlDeviceGetNvLinkRemotePciInfo_v2");
  bind_one(api.link_remote_type, "nvmlDeviceGetNvLinkRemoteDeviceType");
}

void start(Session& session) {
  session.library = Library::open("TWINKLE_NVML_LIBRARY", {"libnvidia-ml.so.1", "libnvidia-ml.so"});
  if (!session.library.loaded()) {
    session.reason = *session.library.status().reason;
    return;
  }
  Api& api = session.api;
  bind(session.library, api);
  if (api.init == nullptr || api.count == nullptr || api.by_index == nullptr || api.uuid == nullptr ||
      api.name == nullptr || api.memory == nullptr) {
    session.reason = session.library.status().library + " lacks a function of NVML 11: it is not NVIDIA's, or too old";
    return;
  }
  const int status = api.init();
  if (status != kSuccess) session.reason = words_of(api, "nvmlInit_v2", status);
  session.ready = status == kSuccess;
}

std::vector<DeviceProcess> processes_of(const Api& api, Device device) {
  if (api.processes == nullptr) return {};
  unsigned room = 64;
  for (int attempt = 0; attempt < 4; attempt++) {
    std::vector<unsigned char> buffer(std::size_t{room} * nvml::kWidestProcessInfo);
    unsigned count = room;
    const int status = api.processes(device, &count, reinterpret_cast<nvml::ProcessInfo*>(buffer.data()));
    if (status == nvml::kInsufficientSize) {
      // Processes come and go between two calls: ask for more than it said.
      room = count + 16;
      continue;
    }
    std::vector<DeviceProcess> found;
    for (unsigned i = 0; status == kSuccess && i < count && i < room; i++) {
      nvml::ProcessInfo entry{};
      std::memcpy(&entry, buffer.data() + std::size_t{i} * sizeof entry, sizeof entry);
      DeviceProcess process;
      process.pid = static_cast<int>(entry.pid);
      if (entry.used_memory != nvml::kValueNotAvailable) process.memory_bytes = entry.used_memory;
      found.push_back(process);
    }
    return found;
  }
  return {};
}

/// What nvidia-smi shows. The older call counts the driver's own reserve (hundreds of MiB) as used, on an idle device
/// too.
int memory_of(const Api& api, Device device, nvml::Memory& memory) {
  if (api.memory_v2 != nullptr) {
    nvml::MemoryV2 whole{};
    whole.version = nvml::kMemoryV2;
    if (api.memory_v2(device, &whole) == kSuccess) {
      memory = {whole.total, whole.free, whole.used};
      return kSuccess;
    }
  }
  return api.memory(device, &memory);
}

DeviceInfo describe(const Api& api, Device device, int index) {
  DeviceInfo info;
  info.kind = "gpu";
  info.vendor = "nvidia";
  info.index = index;
  char text[nvml::kNameLength] = {};
  if (api.name(device, text, sizeof text) == kSuccess) info.name = text;
  char uuid[nvml::kUuidLength] = {};
  if (const int status = api.uuid(device, uuid, sizeof uuid); status == kSuccess)
    info.uuid = uuid;
  else
    info.health = words_of(api, "nvmlDeviceGetUUID", status);
  nvml::Memory memory{};
  if (const int status = memory_of(api, device, memory); status == kSuccess) {
    info.memory_total = memory.total;
    info.memory_used = memory.used;
  } else {
    info.health = words_of(api, "nvmlDeviceGetMemoryInfo", status);
  }
  nvml::PciInfo pci{};
  if (api.pci != nullptr && api.pci(device, &pci) == kSuccess) {
    pci.bus_id[sizeof pci.bus_id - 1] = '\0';
    info.pci_bus_id = normal_pci(pci.bus_id);
    // nvmlDeviceGetNumaNodeId is something else: the node that the device's own memory forms on some boards.
    if (info.pci_bus_id) info.numa_node = pci_numa_node("", *info.pci_bus_id);
  }
  int major = 0, minor = 0;
  if (api.capability != nullptr && api.capability(device, &major, &minor) == kSuccess)
    info.compute_capability = std::to_string(major) + "." + std::to_string(minor);
  info.processes = processes_of(api, device);
  return info;
}

}  // namespace

void survey_nvidia(DeviceReport& report) {
  static std::mutex mutex;
  static Session session;
  const std::lock_guard lock(mutex);
  if (!session.ready) {
    session = Session();
    start(session);
  }
  if (!session.ready) {
    report.libraries.push_back(session.library.refused(session.reason));
    return;
  }
  const Api& api = session.api;
  unsigned count = 0;
  if (const int status = api.count(&count); status != kSuccess) {
    report.libraries.push_back(session.library.refused(words_of(api, "nvmlDeviceGetCount_v2", status)));
    // A driver that was reloaded needs a new nvmlInit.
    session.ready = false;
    return;
  }
  std::optional<std::string> driver;
  char version[nvml::kVersionLength] = {};
  if (api.driver_version != nullptr && api.driver_version(version, sizeof version) == kSuccess) driver = version;
  std::vector<DeviceInfo> devices;
  std::vector<Device> handles;
  for (unsigned index = 0; index < count; index++) {
    Device device = nullptr;
    if (const int status = api.by_index(index, &device); status != kSuccess) {
      // A lost device stays in the list, so that indices mean what they mean to nvidia-smi.
      DeviceInfo lost;
      lost.kind = "gpu";
      lost.vendor = "nvidia";
      lost.index = static_cast<int>(index);
      lost.health = words_of(api, "nvmlDeviceGetHandleByIndex_v2", status);
      devices.push_back(std::move(lost));
      handles.push_back(nullptr);
      continue;
    }
    devices.push_back(describe(api, device, static_cast<int>(index)));
    devices.back().driver_version = driver;
    handles.push_back(device);
  }
  for (DeviceLink& link : nvidia_links(api, devices, handles)) report.links.push_back(std::move(link));
  for (DeviceInfo& device : devices) report.devices.push_back(std::move(device));
  report.libraries.push_back(session.library.status());
}

}  // namespace twinkle
