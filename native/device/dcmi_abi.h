// The part of Ascend's DCMI ABI that we call, declared by hand (dcmi_interface_api.h, drivers 22 to 25).
#pragma once

namespace twinkle::dcmi {

constexpr int kOk = 0;
constexpr int kMostCards = 64;
constexpr int kMostProcesses = 256;
constexpr unsigned kVersionLength = 256;
/// dcmi_unit_type
constexpr int kUnitNpu = 0;
/// dcmi_die_type: the die id that identifies a device.
constexpr int kDieV = 1;

struct ChipInfo {
  unsigned char type[32];
  unsigned char name[32];
  unsigned char version[32];
  unsigned aicore_count;
};

struct HbmInfo {
  unsigned long long size_mb;
  unsigned frequency;
  unsigned long long used_mb;
  int temperature;
  unsigned bandwidth_percent;
};

/// dcmi_get_device_memory_info_v3, for chips without HBM.
struct MemoryInfo {
  unsigned long long size_mb;
  unsigned long long available_mb;
  unsigned frequency;
  unsigned long hugepage_kb;
  unsigned long hugepages_total;
  unsigned long hugepages_free;
  unsigned used_percent;
  unsigned char reserved[60];
};

struct PcieInfo {
  unsigned device_id;
  unsigned vendor_id;
  unsigned subvendor_id;
  unsigned subdevice_id;
  unsigned bdf_device;
  unsigned bdf_bus;
  unsigned bdf_function;
};

/// dcmi_get_device_pcie_info_v2, with the domain.
struct PcieInfoAll {
  unsigned vendor_id;
  unsigned subvendor_id;
  unsigned device_id;
  unsigned subdevice_id;
  int domain;
  unsigned bdf_bus;
  unsigned bdf_device;
  unsigned bdf_function;
  unsigned char reserved[32];
};

struct DieId {
  unsigned words[5];
};

struct ProcessInfo {
  int pid;
  unsigned long memory_bytes;
};

/// dcmi_get_topo_info_by_device_id; 6 to 8 came with later drivers, where 6 had meant "unknown".
enum Topology : int {
  kSelf = 0,
  kSys = 1,
  kPhb = 2,
  kHccs = 3,
  kPxb = 4,
  kPix = 5,
  kSio = 6,
  kHccsSwitch = 7,
};

struct Api {
  int (*init)();
  int (*card_list)(int* count, int* list, int room);
  int (*devices_in_card)(int card, int* count);
  // From here on a driver may lack them.
  int (*driver_version)(char*, unsigned);
  int (*device_type)(int card, int device, int* type);
  int (*logic_id)(int* logic, int card, int device);
  int (*chip_info)(int card, int device, ChipInfo*);
  int (*health)(int card, int device, unsigned*);
  int (*hbm_info)(int card, int device, HbmInfo*);
  int (*memory_info)(int card, int device, MemoryInfo*);
  int (*pcie_info)(int card, int device, PcieInfo*);
  int (*pcie_info_all)(int card, int device, PcieInfoAll*);
  int (*die_id)(int card, int device, int type, DieId*);
  int (*processes)(int card, int device, ProcessInfo*, int* count);
  int (*topology)(int card_a, int device_a, int card_b, int device_b, int* type);
};

}  // namespace twinkle::dcmi
