// The dlopen code of every vendor against the stub libraries. Each case is a process of its own with its own
// environment (see CMakeLists.txt), because a vendor's library is opened once per process.
#include <dlfcn.h>

#include "check.h"
#include "device/survey.h"
#include "memory/segment.h"
#include "rendezvous/unique_id.h"

using namespace twinkle;

static const LibraryStatus& status_of(const DeviceReport& report, const std::string& part) {
  for (const LibraryStatus& status : report.libraries)
    if (check::contains(status.library, part)) return status;
  std::fprintf(stderr, "no status of %s\n", part.c_str());
  std::abort();
}

static std::string links_of(const DeviceReport& report) {
  std::string text;
  for (const DeviceLink& link : report.links)
    text += std::to_string(link.a) + "-" + std::to_string(link.b) + ":" + link.kind + std::to_string(link.lanes) + " ";
  return text;
}

CASE(absent) {
  const DeviceReport report = survey();
  CHECK(report.devices.empty());
  CHECK_EQ(report.libraries.size(), 3U);
  for (const LibraryStatus& status : report.libraries) {
    CHECK(!status.loaded);
    CHECK_HAS(status.reason.value_or(""), "nowhere");
  }
}

CASE(nvml_direct) {
  const DeviceReport report = survey();
  CHECK_EQ(report.devices.size(), 4U);
  const DeviceInfo& first = report.devices[0];
  CHECK_EQ(first.uuid, "GPU-stub-0");
  CHECK_EQ(first.name, "Stub H100");
  CHECK_EQ(first.pci_bus_id.value_or(""), "0000:1a:00.0");
  CHECK_EQ(first.compute_capability.value_or(""), "9.0");
  CHECK_EQ(first.driver_version.value_or(""), "580.1");
  // Without the driver's reserve, as nvidia-smi.
  CHECK_EQ(first.memory_used, 512ULL << 20);
  CHECK_EQ(first.health, "ok");
  CHECK_EQ(first.processes.size(), 100U);
  CHECK_EQ(first.processes[99].pid, 4341);
  CHECK_EQ(first.processes[0].memory_bytes.value_or(0), 1ULL << 30);
  CHECK(!first.processes[1].memory_bytes);
  CHECK_EQ(links_of(report), "0-1:nvlink4 0-2:sys0 0-3:sys0 1-2:sys0 1-3:sys0 2-3:nvlink4 ");
  CHECK(status_of(report, "nvml").loaded);
  CHECK(status_of(report, "nvml").path.has_value());
  // A second survey uses the same session.
  CHECK_EQ(survey().devices.size(), 4U);
}

CASE(nvml_switch) {
  CHECK_EQ(links_of(survey()), "0-1:nvlink4 0-2:nvlink4 1-2:nvlink4 ");
}

CASE(nvml_hidden) {
  CHECK_EQ(links_of(survey()), "0-1:nvlink4 ");
}

CASE(nvml_pcie) {
  CHECK_EQ(links_of(survey()), "0-1:pix0 0-2:sys0 1-2:sys0 ");
}

CASE(nvml_minimal) {
  const DeviceReport report = survey();
  CHECK_EQ(report.devices.size(), 2U);
  CHECK_EQ(report.devices[0].uuid, "GPU-stub-0");
  CHECK(!report.devices[0].pci_bus_id);
  // Only the older call is there.
  CHECK_EQ(report.devices[0].memory_used, 1ULL << 30);
  CHECK(report.devices[0].processes.empty());
  CHECK_EQ(links_of(report), "0-1:unknown0 ");
}

CASE(nvml_init_fails) {
  const DeviceReport report = survey();
  CHECK(report.devices.empty());
  CHECK_EQ(status_of(report, "nvml").reason.value_or(""), "nvmlInit_v2: Driver Not Loaded (9)");
}

CASE(nvml_count_fails) {
  CHECK_HAS(status_of(survey(), "nvml").reason.value_or(""), "nvmlDeviceGetCount_v2");
}

CASE(nvml_lost_device) {
  const DeviceReport report = survey();
  CHECK_EQ(report.devices.size(), 2U);
  CHECK_EQ(report.devices[1].index, 1);
  CHECK_HAS(report.devices[1].health, "GPU is lost");
  CHECK_EQ(links_of(report), "0-1:unknown0 ");
}

CASE(nvml_not_nvidia) {
  CHECK_HAS(status_of(survey(), "nccl").reason.value_or(""), "lacks a function of NVML");
}

CASE(dcmi_cards) {
  const DeviceReport report = survey();
  CHECK_EQ(report.devices.size(), 6U);
  const DeviceInfo& first = report.devices[0];
  CHECK_EQ(first.kind, "npu");
  CHECK_EQ(first.name, "Ascend " + std::string(32, 'X'));
  CHECK_EQ(first.uuid, "NPU-00000000-00000001-00000002-00000003-00000004");
  CHECK_EQ(first.health, "alarm");
  CHECK_EQ(first.memory_total, 65536ULL << 20);
  CHECK_EQ(first.memory_used, 3400ULL << 20);
  CHECK_EQ(first.pci_bus_id.value_or(""), "0000:c1:00.0");
  CHECK_EQ(first.driver_version.value_or(""), "25.2.0");
  CHECK_EQ(first.processes.size(), 1U);
  CHECK_EQ(first.processes[0].pid, 777);
  CHECK_EQ(report.devices[5].index, 5);
  CHECK_EQ(report.devices[5].health, "ok");
  CHECK_EQ(report.links.size(), 15U);
  CHECK_EQ(report.links[0].kind, "hccs");     // 0-1: two chips of one card
  CHECK_EQ(report.links[1].kind, "hccs");     // 0-2: cards 0 and 3
  CHECK_EQ(report.links[3].kind, "unknown");  // 0-4: cards 0 and 6, an old driver's 6
}

CASE(dcmi_without_hbm) {
  const DeviceReport report = survey();
  CHECK_EQ(report.devices[0].memory_total, 24576ULL << 20);
  CHECK_EQ(report.devices[0].memory_used, 4576ULL << 20);
}

CASE(dcmi_minimal) {
  const DeviceReport report = survey();
  CHECK_EQ(report.devices.size(), 4U);
  CHECK_EQ(report.devices[2].index, 2);
  CHECK_EQ(report.devices[2].uuid, "NPU-card3-device0");
  CHECK_EQ(report.links[0].kind, "unknown");
}

CASE(dcmi_init_fails) {
  const DeviceReport report = survey();
  CHECK(report.devices.empty());
  CHECK_EQ(status_of(report, "dcmi").reason.value_or(""), "dcmi_init answered -8005");
}

CASE(dcmi_list_fails) {
  CHECK_HAS(status_of(survey(), "dcmi").reason.value_or(""), "dcmi_get_card_list answered -8001");
}

CASE(dcmi_health_fails) {
  CHECK_HAS(survey().devices[0].health, "dcmi_get_device_health answered -8255");
}

CASE(npu_smi_tool) {
  const check::Folder folder;
  folder.write("/npu-smi",
               "#!/bin/sh\n[ \"$1\" = info ] || exit 9\n"
               "echo '| 0     910B3 | OK           | 93.6 40 0 / 0          |'\n"
               "echo '| 0           | 0000:C1:00.0 | 0    0 / 0 3161 / 65536 |'\n");
  std::filesystem::permissions(folder.path() + "/npu-smi", std::filesystem::perms::all);
  setenv("TWINKLE_NPU_SMI", (folder.path() + "/npu-smi").c_str(), 1);
  const DeviceReport report = survey();
  CHECK_EQ(report.devices.size(), 1U);
  CHECK_EQ(report.devices[0].name, "910B3");
  CHECK(status_of(report, "npu-smi").loaded);
}

CASE(npu_smi_tool_fails) {
  setenv("TWINKLE_NPU_SMI", "/bin/false", 1);
  CHECK_HAS(status_of(survey(), "false").reason.value_or(""), "exit code 1");
}

CASE(fake_wins) {
  const DeviceReport report = survey();
  CHECK_EQ(report.devices.size(), 3U);
  CHECK_EQ(report.devices[0].vendor, "fake");
}

CASE(nccl) {
  const auto id = nccl_unique_id();
  CHECK_EQ(id.size(), 128U);
  CHECK_EQ(static_cast<int>(id[127]), 127);
}

CASE(nccl_fails) {
  CHECK_HAS(check::thrown([] { nccl_unique_id(); }),
            "DEVICE_MISSING: no NCCL unique id: ncclGetUniqueId answered 2 (unhandled");
}

CASE(ids_absent) {
  CHECK_HAS(check::thrown([] { nccl_unique_id(); }), "DEVICE_MISSING: no NCCL unique id: /nowhere");
  CHECK_HAS(check::thrown([] { hccl_root_info(0); }), "DEVICE_MISSING: no HCCL root info: /nowhere");
}

CASE(hccl) {
  const auto info = hccl_root_info(1);
  CHECK_EQ(info.size(), 4108U);
  CHECK_EQ(static_cast<int>(info[4107]), 7);
  CHECK_HAS(check::thrown([] { hccl_root_info(2); }), "aclrtSetDevice(2) answered 107001");
}

CASE(register_cuda) {
  void* library = dlopen(std::getenv("TWINKLE_CUDART_LIBRARY"), RTLD_NOW);
  const auto registered = reinterpret_cast<int (*)()>(dlsym(library, "twinkle_stub_registered"));
  {
    const Segment segment = Segment::create("cuda", 4096, false, Registrar::kCuda);
    CHECK_EQ(registered(), 1);
  }
  CHECK_EQ(registered(), 0);
}

CASE(register_cuda_fails) {
  CHECK_HAS(check::thrown([] { Segment::create("cuda", 4096, false, Registrar::kCuda); }),
            "DEVICE_MISSING: pages cannot be registered with CUDA: cudaHostRegister answered 100 (no CUDA-capable");
}

CASE(register_acl) {
  const Segment segment = Segment::create("acl", 4096, false, Registrar::kAcl);
  CHECK(!segment.closed());
}

CASE(register_absent) {
  CHECK_HAS(check::thrown([] { Segment::create("acl", 4096, false, Registrar::kAcl); }), "DEVICE_MISSING");
  CHECK_HAS(check::thrown([] { Segment::create("cuda", 4096, false, Registrar::kCuda); }), "DEVICE_MISSING");
}
