#include "device/ascend.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <set>

#include "device/dcmi_abi.h"
#include "device/npu_smi.h"
#include "device/pci.h"

namespace twinkle {
namespace {

using dcmi::Api;
using dcmi::kOk;

constexpr std::uint64_t kMib = 1 << 20;

struct Session {
  Library library;
  Api api{};
  bool ready = false;
  std::string reason;
};

struct Place {
  int card = 0;
  int device = 0;
};

void bind(const Library& library, Api& api) {
  const auto bind_one = [&library](auto& slot, const char* name) {
    slot = library.symbol<std::remove_reference_t<decltype(slot)>>(name);
  };
  bind_one(api.init, "dcmi_init");
  bind_one(api.card_list, "dcmi_get_card_list");
  if (api.card_list == nullptr) bind_one(api.card_list, "dcmi_get_card_num_list");
  bind_one(api.devices_in_card, "dcmi_get_device_num_in_card");
  bind_one(api.driver_version, "dcmi_get_driver_version");
  bind_one(api.device_type, "dcmi_get_device_type");
  bind_one(api.logic_id, "dcmi_get_device_logic_id");
  bind_one(api.chip_info, "dcmi_get_device_chip_info");
  bind_one(api.health, "dcmi_get_device_health");
  bind_one(api.hbm_info, "dcmi_get_device_hbm_info");
  bind_one(api.memory_info, "dcmi_get_device_memory_info_v3");
  bind_one(api.pcie_info, "dcmi_get_device_pcie_info");
  bind_one(api.pcie_info_all, "dcmi_get_device_pcie_info_v2");
  bind_one(api.die_id, "dcmi_get_device_die_v2");
  bind_one(api.processes, "dcmi_get_device_resource_info");
  bind_one(api.topology, "dcmi_get_topo_info_by_device_id");
}

void start(Session& session) {
  session.library = Library::open("TWINKLE_DCMI_LIBRARY", {"libdcmi.so", "/usr/local/dcmi/libdcmi.so"});
  if (!session.library.loaded()) {
    session.reason = *session.library.status().reason;
    return;
  }
  bind(session.library, session.api);
  if (session.api.init == nullptr || session.api.card_list == nullptr || session.api.devices_in_card == nullptr) {
    session.reason = session.library.status().library + " lacks a function of DCMI: it is not Ascend's, or too old";
    return;
  }
  const int status = session.api.init();
  if (status != kOk) session.reason = "dcmi_init answered " + std::to_string(status);
  session.ready = status == kOk;
}

std::string health_word(unsigned health) {
  switch (health) {
    case 0:
      return "ok";
    case 1:
      return "warning";
    case 2:
      return "alarm";
    case 3:
      return "critical";
    case 0xffffffff:
      return "not started";
    default:
      return "health " + std::to_string(health);
  }
}

void describe_memory(const Api& api, Place at, DeviceInfo& info) {
  dcmi::HbmInfo hbm{};
  if (api.hbm_info != nullptr && api.hbm_info(at.card, at.device, &hbm) == kOk && hbm.size_mb > 0) {
    info.memory_total = hbm.size_mb * kMib;
    info.memory_used = hbm.used_mb * kMib;
    return;
  }
  dcmi::MemoryInfo ddr{};
  if (api.memory_info != nullptr && api.memory_info(at.card, at.device, &ddr) == kOk) {
    info.memory_total = ddr.size_mb * kMib;
    info.memory_used = (ddr.size_mb - std::min(ddr.size_mb, ddr.available_mb)) * kMib;
  }
}

void describe_pci(const Api& api, Place at, DeviceInfo& info) {
  char text[32];
  dcmi::PcieInfoAll all{};
  dcmi::PcieInfo pcie{};
  if (api.pcie_info_all != nullptr && api.pcie_info_all(at.card, at.device, &all) == kOk)
    std::snprintf(text, sizeof text, "%04x:%02x:%02x.%x", static_cast<unsigned>(all.domain) & 0xffffU,
                  all.bdf_bus & 0xffU, all.bdf_device & 0xffU, all.bdf_function & 0xfU);
  else if (api.pcie_info != nullptr && api.pcie_info(at.card, at.device, &pcie) == kOk)
    std::snprintf(text, sizeof text, "0000:%02x:%02x.%x", pcie.bdf_bus & 0xffU, pcie.bdf_device & 0xffU,
                  pcie.bdf_function & 0xfU);
  else
    return;
  info.pci_bus_id = text;
  info.numa_node = pci_numa_node("", text);
}

void describe_processes(const Api& api, Place at, DeviceInfo& info) {
  if (api.processes == nullptr) return;
  std::vector<dcmi::ProcessInfo> entries(dcmi::kMostProcesses);
  int count = dcmi::kMostProcesses;
  if (api.processes(at.card, at.device, entries.data(), &count) != kOk) return;
  for (int i = 0; i < std::min(count, dcmi::kMostProcesses); i++) {
    const dcmi::ProcessInfo& entry = entries[static_cast<std::size_t>(i)];
    info.processes.push_back({entry.pid, entry.memory_bytes});
  }
}

DeviceInfo describe(const Api& api, Place at, int position) {
  DeviceInfo info;
  info.kind = "npu";
  info.vendor = "ascend";
  // ASCEND_RT_VISIBLE_DEVICES counts logic ids.
  if (api.logic_id == nullptr || api.logic_id(&info.index, at.card, at.device) != kOk) info.index = position;
  dcmi::ChipInfo chip{};
  if (api.chip_info != nullptr && api.chip_info(at.card, at.device, &chip) == kOk) {
    const auto text = [](const unsigned char* bytes) {
      const char* chars = reinterpret_cast<const char*>(bytes);
      return std::string(chars, strnlen(chars, 32));
    };
    info.name = text(chip.type) + " " + text(chip.name);
  }
  dcmi::DieId die{};
  if (api.die_id != nullptr && api.die_id(at.card, at.device, dcmi::kDieV, &die) == kOk) {
    char text[64];
    std::snprintf(text, sizeof text, "NPU-%08X-%08X-%08X-%08X-%08X", die.words[0], die.words[1], die.words[2],
                  die.words[3], die.words[4]);
    info.uuid = text;
  } else {
    info.uuid = "NPU-card" + std::to_string(at.card) + "-device" + std::to_string(at.device);
  }
  unsigned health = 0;
  if (api.health != nullptr) {
    const int status = api.health(at.card, at.device, &health);
    info.health = status == kOk ? health_word(health) : "dcmi_get_device_health answered " + std::to_string(status);
  }
  describe_memory(api, at, info);
  describe_pci(api, at, info);
  describe_processes(api, at, info);
  return info;
}

std::vector<Place> places(const Api& api, std::string& reason) {
  std::vector<Place> found;
  std::vector<int> cards(dcmi::kMostCards);
  int count = 0;
  if (const int status = api.card_list(&count, cards.data(), dcmi::kMostCards); status != kOk) {
    reason = "dcmi_get_card_list answered " + std::to_string(status);
    return found;
  }
  for (int i = 0; i < std::min(count, dcmi::kMostCards); i++) {
    const int card = cards[static_cast<std::size_t>(i)];
    int devices = 0;
    if (api.devices_in_card(card, &devices) != kOk) continue;
    for (int device = 0; device < devices; device++) {
      // A card also counts its management unit and CPUs.
      int type = dcmi::kUnitNpu;
      if (api.device_type != nullptr && api.device_type(card, device, &type) == kOk && type != dcmi::kUnitNpu) continue;
      found.push_back({card, device});
    }
  }
  return found;
}

DeviceLink relate(const Api& api, Place a, Place b, int index_a, int index_b) {
  DeviceLink link{index_a, index_b, "unknown", 0};
  int type = -1;
  if (api.topology == nullptr || api.topology(a.card, a.device, b.card, b.device, &type) != kOk) return link;
  switch (type) {
    // DCMI counts no lanes: one means "connected".
    case dcmi::kHccs:
    case dcmi::kHccsSwitch:
      link.kind = "hccs";
      link.lanes = 1;
      break;
    // The bus between two chips of one card; older drivers say 6 for "unknown", but never about one card.
    case dcmi::kSio:
      if (a.card == b.card) link = {index_a, index_b, "hccs", 1};
      break;
    case dcmi::kPix:
      link.kind = "pix";
      break;
    case dcmi::kPxb:
      link.kind = "pxb";
      break;
    case dcmi::kPhb:
      link.kind = "phb";
      break;
    case dcmi::kSys:
      link.kind = "sys";
      break;
    default:
      break;
  }
  return link;
}

}  // namespace

void survey_ascend(DeviceReport& report) {
  static std::mutex mutex;
  static Session session;
  const std::lock_guard lock(mutex);
  if (!session.ready) {
    session = Session();
    start(session);
  }
  std::vector<Place> found;
  std::string reason = session.reason;
  if (session.ready) found = places(session.api, reason);
  if (!reason.empty()) {
    report.libraries.push_back(session.library.refused(reason));
    survey_npu_smi(report);
    return;
  }
  std::optional<std::string> driver;
  char version[dcmi::kVersionLength] = {};
  if (session.api.driver_version != nullptr && session.api.driver_version(version, sizeof version) == kOk)
    driver = version;
  std::vector<int> indices;
  for (std::size_t i = 0; i < found.size(); i++) {
    report.devices.push_back(describe(session.api, found[i], static_cast<int>(i)));
    report.devices.back().driver_version = driver;
    indices.push_back(report.devices.back().index);
  }
  for (std::size_t a = 0; a < found.size(); a++)
    for (std::size_t b = a + 1; b < found.size(); b++)
      report.links.push_back(relate(session.api, found[a], found[b], indices[a], indices[b]));
  report.libraries.push_back(session.library.status());
}

}  // namespace twinkle
