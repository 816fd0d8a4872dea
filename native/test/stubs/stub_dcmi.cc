// A look-alike of libdcmi for tests, scripted by environment variables:
//   TWINKLE_STUB_DCMI_CARDS   number of cards (2), two chips and one management unit on each
//   TWINKLE_STUB_DCMI_HEALTH  health number of the first chip (0)
//   TWINKLE_STUB_DCMI_FAIL    init | list | health | hbm: what answers an error
// With TWINKLE_STUB_MINIMAL only the functions without which nothing works exist.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "device/dcmi_abi.h"

using namespace twinkle::dcmi;

namespace {

constexpr int kChips = 2;
constexpr int kNotSupported = -8255;

int number(const char* name, int standard) {
  const char* text = std::getenv(name);
  return text == nullptr ? standard : std::atoi(text);
}

bool fails(const char* word) {
  const char* text = std::getenv("TWINKLE_STUB_DCMI_FAIL");
  return text != nullptr && std::strcmp(text, word) == 0;
}

}  // namespace

#define STUB extern "C" __attribute__((visibility("default")))

STUB int dcmi_init() {
  return fails("init") ? -8005 : kOk;
}
STUB int dcmi_get_card_list(int* count, int* list, int room) {
  if (fails("list")) return -8001;
  *count = number("TWINKLE_STUB_DCMI_CARDS", 2);
  // Card numbers have gaps on real machines.
  for (int i = 0; i < *count && i < room; i++) list[i] = i * 3;
  return kOk;
}
STUB int dcmi_get_device_num_in_card(int, int* count) {
#ifdef TWINKLE_STUB_MINIMAL
  *count = kChips;
#else
  *count = kChips + 1;
#endif
  return kOk;
}

#ifndef TWINKLE_STUB_MINIMAL
STUB int dcmi_get_driver_version(char* version, unsigned length) {
  std::snprintf(version, length, "25.2.0");
  return kOk;
}
STUB int dcmi_get_device_type(int, int device, int* type) {
  *type = device < kChips ? kUnitNpu : 1;
  return kOk;
}
STUB int dcmi_get_device_logic_id(int* logic, int card, int device) {
  *logic = card / 3 * kChips + device;
  return kOk;
}
STUB int dcmi_get_device_chip_info(int, int, ChipInfo* chip) {
  std::memcpy(chip->type, "Ascend", 7);
  // As long as the field: nothing ends it.
  std::memset(chip->name, 'X', sizeof chip->name);
  return kOk;
}
STUB int dcmi_get_device_health(int card, int device, unsigned* health) {
  if (fails("health")) return kNotSupported;
  *health = card == 0 && device == 0 ? static_cast<unsigned>(number("TWINKLE_STUB_DCMI_HEALTH", 0)) : 0;
  return kOk;
}
STUB int dcmi_get_device_hbm_info(int, int, HbmInfo* info) {
  if (fails("hbm")) return kNotSupported;
  info->size_mb = 65536;
  info->used_mb = 3400;
  return kOk;
}
STUB int dcmi_get_device_memory_info_v3(int, int, MemoryInfo* info) {
  info->size_mb = 24576;
  info->available_mb = 20000;
  return kOk;
}
STUB int dcmi_get_device_pcie_info_v2(int card, int device, PcieInfoAll* info) {
  info->domain = 0;
  info->bdf_bus = static_cast<unsigned>(0xc1 + card + device);
  return kOk;
}
STUB int dcmi_get_device_die_v2(int card, int device, int type, DieId* id) {
  if (type != kDieV) return kNotSupported;
  for (unsigned i = 0; i < 5; i++) id->words[i] = static_cast<unsigned>(card * 16 + device) + i;
  return kOk;
}
STUB int dcmi_get_device_resource_info(int card, int device, ProcessInfo* entries, int* count) {
  *count = card == 0 && device == 0 ? 1 : 0;
  if (*count > 0) entries[0] = {777, 2UL << 30};
  return kOk;
}
STUB int dcmi_get_topo_info_by_device_id(int card_a, int, int card_b, int, int* type) {
  // 6 is SIO inside a card, and an old driver's "unknown" between cards 0 and 6.
  *type = card_a == card_b ? kSio : card_a + card_b == 6 ? kSio : kHccs;
  return kOk;
}
#endif
