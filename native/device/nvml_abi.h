// The part of NVML's ABI that we call, declared by hand: nothing of NVIDIA is needed to compile.
// Layouts and numbers are those of nvml.h from CUDA 11 to 13.
#pragma once

namespace twinkle::nvml {

struct DeviceHandle;
using Device = DeviceHandle*;

constexpr int kSuccess = 0;
constexpr int kInsufficientSize = 7;
constexpr unsigned long long kValueNotAvailable = ~0ULL;

constexpr unsigned kNameLength = 96;
constexpr unsigned kUuidLength = 96;
constexpr unsigned kVersionLength = 80;
/// Links that a device may have at most (NVML_NVLINK_MAX_LINKS).
constexpr unsigned kMostLinks = 18;

struct Memory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};

/// Of nvmlDeviceGetMemoryInfo_v2: what the driver keeps for itself stands beside `used`, not in it.
struct MemoryV2 {
  unsigned version;
  unsigned long long total;
  unsigned long long reserved;
  unsigned long long free;
  unsigned long long used;
};
/// NVML's rule for versioned structs: size, and the version in the top byte.
constexpr unsigned kMemoryV2 = static_cast<unsigned>(sizeof(MemoryV2)) | 2U << 24;

struct PciInfo {
  char bus_id_legacy[16];
  unsigned domain;
  unsigned bus;
  unsigned device;
  unsigned pci_device_id;
  unsigned pci_subsystem_id;
  char bus_id[32];
};

/// Entry of nvmlDeviceGetComputeRunningProcesses_v2 and _v3.
struct ProcessInfo {
  unsigned pid;
  unsigned long long used_memory;
  unsigned gpu_instance;
  unsigned compute_instance;
};
/// Some 5xx drivers wrote 8 bytes more per entry: buffers leave room for that.
constexpr unsigned kWidestProcessInfo = 32;

/// nvmlDeviceGetTopologyCommonAncestor
enum Topology : int { kInternal = 0, kSingle = 10, kMultiple = 20, kHostBridge = 30, kNode = 40, kSystem = 50 };
/// nvmlGpuP2PCapsIndex_t
constexpr int kP2pNvlink = 2;
/// nvmlGpuP2PStatus_t
constexpr int kP2pOk = 0;
/// nvmlIntNvLinkDeviceType_t
enum LinkEnd : int { kEndGpu = 0, kEndSwitch = 2 };

struct Api {
  int (*init)();
  const char* (*error_string)(int);
  int (*driver_version)(char*, unsigned);
  int (*count)(unsigned*);
  int (*by_index)(unsigned, Device*);
  int (*name)(Device, char*, unsigned);
  int (*uuid)(Device, char*, unsigned);
  int (*memory)(Device, Memory*);
  // From here on a driver may lack them.
  int (*memory_v2)(Device, MemoryV2*);
  int (*pci)(Device, PciInfo*);
  int (*capability)(Device, int*, int*);
  int (*processes)(Device, unsigned*, ProcessInfo*);
  int (*ancestor)(Device, Device, int*);
  int (*p2p)(Device, Device, int, int*);
  int (*link_state)(Device, unsigned, int*);
  int (*link_remote)(Device, unsigned, PciInfo*);
  int (*link_remote_type)(Device, unsigned, int*);
};

}  // namespace twinkle::nvml
