// How each pair of NVIDIA devices is connected: NVLink lanes first, else the PCIe distance.
#include <algorithm>
#include <map>

#include "device/nvml.h"
#include "device/pci.h"

namespace twinkle {
namespace {

using nvml::kSuccess;

// Active links of one device: by the PCI address of the GPU at the other end, and those that end at a switch.
struct Ends {
  std::map<std::string, int> direct;
  int at_switch = 0;
  int active = 0;
};

Ends ends_of(const nvml::Api& api, nvml::Device device) {
  Ends ends;
  if (device == nullptr || api.link_state == nullptr) return ends;
  for (unsigned link = 0; link < nvml::kMostLinks; link++) {
    int active = 0;
    if (api.link_state(device, link, &active) != kSuccess || active == 0) continue;
    ends.active++;
    int type = -1;
    const bool typed = api.link_remote_type != nullptr && api.link_remote_type(device, link, &type) == kSuccess;
    if (typed && type == nvml::kEndSwitch) {
      ends.at_switch++;
      continue;
    }
    nvml::PciInfo pci{};
    if (api.link_remote == nullptr || api.link_remote(device, link, &pci) != kSuccess) continue;
    pci.bus_id[sizeof pci.bus_id - 1] = '\0';
    if (const auto address = normal_pci(pci.bus_id)) ends.direct[*address]++;
  }
  return ends;
}

const char* distance(int level) {
  switch (level) {
    case nvml::kInternal:
    case nvml::kSingle:
      return "pix";
    case nvml::kMultiple:
      return "pxb";
    case nvml::kHostBridge:
      return "phb";
    case nvml::kNode:
      return "node";
    case nvml::kSystem:
      return "sys";
    default:
      return "unknown";
  }
}

int lanes_between(const nvml::Api& api, const Ends& a, const Ends& b, const DeviceInfo& to, nvml::Device one,
                  nvml::Device two) {
  if (to.pci_bus_id)
    if (const auto direct = a.direct.find(*to.pci_bus_id); direct != a.direct.end()) return direct->second;
  if (a.at_switch > 0 && b.at_switch > 0) return std::min(a.at_switch, b.at_switch);
  // Inside a virtual machine the far ends are hidden; peer status still says whether NVLink is the way.
  int status = -1;
  const bool peers =
      api.p2p != nullptr && api.p2p(one, two, nvml::kP2pNvlink, &status) == kSuccess && status == nvml::kP2pOk;
  return peers && a.direct.empty() && b.direct.empty() ? std::min(a.active, b.active) : 0;
}

}  // namespace

std::vector<DeviceLink> nvidia_links(const nvml::Api& api, const std::vector<DeviceInfo>& devices,
                                     const std::vector<nvml::Device>& handles) {
  std::vector<Ends> ends;
  for (const nvml::Device device : handles) ends.push_back(ends_of(api, device));
  std::vector<DeviceLink> links;
  for (std::size_t a = 0; a < devices.size(); a++) {
    for (std::size_t b = a + 1; b < devices.size(); b++) {
      DeviceLink link{devices[a].index, devices[b].index, "unknown", 0};
      if (handles[a] != nullptr && handles[b] != nullptr) {
        link.lanes = lanes_between(api, ends[a], ends[b], devices[b], handles[a], handles[b]);
        int level = -1;
        if (link.lanes > 0)
          link.kind = "nvlink";
        else if (api.ancestor != nullptr && api.ancestor(handles[a], handles[b], &level) == kSuccess)
          link.kind = distance(level);
      }
      links.push_back(std::move(link));
    }
  }
  return links;
}

}  // namespace twinkle
