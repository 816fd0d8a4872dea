// A look-alike of libnvidia-ml for tests, scripted by environment variables:
//   TWINKLE_STUB_NVML_GPUS       number of devices (2)
//   TWINKLE_STUB_NVML_TOPOLOGY   direct | switch | hidden | pcie (direct): how devices see each other
//   TWINKLE_STUB_NVML_FAIL       init | count | handle | memory: what answers an error (handle, memory: device 1)
//   TWINKLE_STUB_NVML_PROCESSES  processes on device 0 (1)
// With TWINKLE_STUB_MINIMAL only the functions without which nothing works exist.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "device/nvml_abi.h"

using namespace twinkle::nvml;

namespace {

unsigned number(const char* name, unsigned standard) {
  const char* text = std::getenv(name);
  return text == nullptr ? standard : static_cast<unsigned>(std::atoi(text));
}

bool says(const char* name, const char* word) {
  const char* text = std::getenv(name);
  return text != nullptr && std::strcmp(text, word) == 0;
}

bool fails(const char* word) {
  return says("TWINKLE_STUB_NVML_FAIL", word);
}

unsigned index_of(Device device) {
  return static_cast<unsigned>(reinterpret_cast<unsigned long>(device)) - 1;
}

}  // namespace

#define STUB extern "C" __attribute__((visibility("default")))

STUB int nvmlInit_v2() {
  return fails("init") ? 9 : kSuccess;
}
STUB const char* nvmlErrorString(int status) {
  return status == 9 ? "Driver Not Loaded" : status == 15 ? "GPU is lost" : "Unknown Error";
}
STUB int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = number("TWINKLE_STUB_NVML_GPUS", 2);
  return fails("count") ? 999 : kSuccess;
}
STUB int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device* device) {
  if (index == 1 && fails("handle")) return 15;
  *device = reinterpret_cast<Device>(static_cast<unsigned long>(index) + 1);
  return kSuccess;
}
STUB int nvmlDeviceGetName(Device, char* name, unsigned length) {
  std::snprintf(name, length, "Stub H100");
  return kSuccess;
}
STUB int nvmlDeviceGetUUID(Device device, char* uuid, unsigned length) {
  std::snprintf(uuid, length, "GPU-stub-%u", index_of(device));
  return kSuccess;
}
STUB int nvmlDeviceGetMemoryInfo(Device device, Memory* memory) {
  if (index_of(device) == 1 && fails("memory")) return 15;
  *memory = {80ULL << 30, 79ULL << 30, 1ULL << 30};
  return kSuccess;
}

#ifndef TWINKLE_STUB_MINIMAL
STUB int nvmlDeviceGetMemoryInfo_v2(Device device, MemoryV2* memory) {
  if (index_of(device) == 1 && fails("memory")) return 15;
  // NVML refuses a struct of another version.
  if (memory->version != 0x02000028U) return 25;
  *memory = {memory->version, 80ULL << 30, 512ULL << 20, 79ULL << 30, 512ULL << 20};
  return kSuccess;
}
STUB int nvmlSystemGetDriverVersion(char* version, unsigned length) {
  std::snprintf(version, length, "580.1");
  return kSuccess;
}
STUB int nvmlDeviceGetPciInfo_v3(Device device, PciInfo* pci) {
  std::snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", index_of(device) + 0x1a);
  return kSuccess;
}
STUB int nvmlDeviceGetCudaComputeCapability(Device, int* major, int* minor) {
  *major = 9;
  *minor = 0;
  return kSuccess;
}
STUB int nvmlDeviceGetComputeRunningProcesses_v3(Device device, unsigned* count, ProcessInfo* entries) {
  const unsigned running = index_of(device) == 0 ? number("TWINKLE_STUB_NVML_PROCESSES", 1) : 0;
  const unsigned room = *count;
  *count = running;
  if (running > room) return kInsufficientSize;
  for (unsigned i = 0; i < running; i++) entries[i] = {4242 + i, i == 0 ? 1ULL << 30 : kValueNotAvailable, ~0U, ~0U};
  return kSuccess;
}
STUB int nvmlDeviceGetTopologyCommonAncestor(Device a, Device b, int* level) {
  // Pairs (0,1), (2,3), … share a switch; the rest meet at the root.
  *level = index_of(a) / 2 == index_of(b) / 2 ? kSingle : kSystem;
  return kSuccess;
}
STUB int nvmlDeviceGetP2PStatus(Device, Device, int, int* status) {
  *status = says("TWINKLE_STUB_NVML_TOPOLOGY", "pcie") ? 1 : kP2pOk;
  return kSuccess;
}
STUB int nvmlDeviceGetNvLinkState(Device, unsigned link, int* active) {
  if (says("TWINKLE_STUB_NVML_TOPOLOGY", "pcie")) return 3;
  *active = link < 4 ? 1 : 0;
  return kSuccess;
}
STUB int nvmlDeviceGetNvLinkRemoteDeviceType(Device, unsigned, int* type) {
  if (says("TWINKLE_STUB_NVML_TOPOLOGY", "hidden")) return 3;
  *type = says("TWINKLE_STUB_NVML_TOPOLOGY", "switch") ? kEndSwitch : kEndGpu;
  return kSuccess;
}
STUB int nvmlDeviceGetNvLinkRemotePciInfo_v2(Device device, unsigned, PciInfo* pci) {
  if (says("TWINKLE_STUB_NVML_TOPOLOGY", "hidden")) return 3;
  // Each device is wired to the other one of its pair.
  return nvmlDeviceGetPciInfo_v3(reinterpret_cast<Device>(static_cast<unsigned long>(index_of(device) ^ 1U) + 1), pci);
}
#endif
