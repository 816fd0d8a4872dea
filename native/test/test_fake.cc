#include "check.h"
#include "device/fake.h"
#include "device/npu_smi.h"

using namespace twinkle;

CASE(eight_gpus) {
  const DeviceReport report = fake_devices("gpu:8");
  CHECK_EQ(report.devices.size(), 8U);
  CHECK_EQ(report.links.size(), 28U);
  CHECK_EQ(report.devices[7].uuid, "GPU-fake-0007");
  CHECK_EQ(report.devices[7].numa_node.value_or(-1), 1);
  CHECK_EQ(report.devices[0].memory_total, 80ULL << 30);
  int fast = 0;
  for (const DeviceLink& link : report.links) {
    const bool together = link.a / 4 == link.b / 4;
    CHECK_EQ(link.kind, together ? "nvlink" : "sys");
    fast += link.lanes > 0 ? 1 : 0;
  }
  CHECK_EQ(fast, 12);
}

CASE(sized_and_npu) {
  CHECK_EQ(fake_devices("gpu:4x40").devices[3].memory_total, 40ULL << 30);
  const DeviceReport npus = fake_devices("npu:2");
  CHECK_EQ(npus.devices[1].kind, "npu");
  CHECK(!npus.devices[1].compute_capability);
  CHECK_EQ(npus.links[0].kind, "hccs");
}

CASE(wrong_specs) {
  for (const char* wrong :
       {"gpu", "gpu:", "gpu:0", "gpu:65", "tpu:4", "gpu:4x", "gpu:4x0", "gpu:x40", ":4", "gpu:-1", "8"})
    CHECK_HAS(check::thrown([wrong] { fake_devices(wrong); }), "CONFIG_INVALID: expected gpu:N");
}

CASE(npu_smi_table) {
  const char* table =
      "+-----------------------------------------------------------+\n"
      "| npu-smi 25.2.0                   Version: 25.2.0          |\n"
      "+---------------------------+---------------+---------------+\n"
      "| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|\n"
      "| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |\n"
      "+===========================+===============+===============+\n"
      "| 4     910B3               | OK            | 93.6        40                0    / 0             |\n"
      "| 0                         | 0000:C1:00.0  | 0           0    / 0          59356/ 65536         |\n"
      "+===========================+===============+===============+\n"
      "| 5     910B3               | Alarm         | 93.6        40                0    / 0             |\n"
      "| 0                         | 0000:C2:00.0  | 0           0    / 0          3161 / 65536         |\n"
      "+===========================+===============+===============+\n"
      "+---------------------------+---------------+---------------+\n"
      "| NPU     Chip              | Process id    | Process name  | Process memory(MB)      |\n"
      "+===========================+===============+===============+\n"
      "| 4       0                 | 1712733       | python        | 48954                   |\n"
      "| No running processes found in NPU 5                                                 |\n";
  const auto devices = parse_npu_smi(table);
  CHECK_EQ(devices.size(), 2U);
  CHECK_EQ(devices[0].name, "910B3");
  CHECK_EQ(devices[0].health, "ok");
  CHECK_EQ(devices[0].pci_bus_id.value_or(""), "0000:c1:00.0");
  CHECK_EQ(devices[0].memory_used, 59356ULL << 20);
  CHECK_EQ(devices[0].memory_total, 65536ULL << 20);
  CHECK_EQ(devices[0].driver_version.value_or(""), "25.2.0");
  CHECK_EQ(devices[0].processes.size(), 1U);
  CHECK_EQ(devices[0].processes[0].pid, 1712733);
  CHECK_EQ(devices[1].index, 1);
  CHECK_EQ(devices[1].health, "alarm");
  CHECK(devices[1].processes.empty());
}

CASE(npu_smi_nonsense) {
  for (const char* text : {"", "|", "||", "| a |", "| 0 | 0000:c1:00.0 |", "| 0 x | Process id |\n| 0 0 | 1 | a | b |",
                           "dcmi module initialize failed. ret is -8005"})
    CHECK(parse_npu_smi(text).empty());
}
