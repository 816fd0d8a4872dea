#include "check.h"
#include "device/cgroup.h"
#include "device/cpu.h"

using namespace twinkle;

CASE(x86_topology) {
  const check::Folder root;
  root.write(
      "/proc/cpuinfo",
      "processor\t: 0\nmodel name\t: Test Xeon\nflags\t\t: fpu avx2 avx512f amx_tile amx_bf16 sse\n\nprocessor\t: 1\n");
  root.write("/proc/meminfo", "MemTotal:       16 kB\nMemFree: 1 kB\nMemAvailable:   8 kB\n");
  root.write("/sys/devices/system/cpu/online", "0-3\n");
  for (int cpu = 0; cpu < 4; cpu++) {
    const std::string topology = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology";
    root.write(topology + "/physical_package_id", std::to_string(cpu / 2) + "\n");
    root.write(topology + "/core_id", "0\n");
  }
  // node10 sorts before node2 as a name.
  root.write("/sys/devices/system/node/node10/cpulist", "2-3\n");
  root.write("/sys/devices/system/node/node2/cpulist", "0-1\n");
  root.write("/sys/devices/system/node/node2/meminfo", "Node 2 MemTotal:       4 kB\n");
  root.write("/sys/devices/system/node/possible", "0-10\n");
  const CpuInfo info = read_cpu(root.path(), {0, 1});
  CHECK_EQ(info.model, "Test Xeon");
  CHECK_EQ(info.sockets, 2);
  CHECK_EQ(info.physical_cores, 2);
  CHECK_EQ(info.logical_cores, 4);
  CHECK_EQ(info.allowed.size(), 2U);
  CHECK_EQ(info.numa.size(), 2U);
  CHECK_EQ(info.numa[0].node, 2);
  CHECK_EQ(info.numa[0].memory_bytes, 4096U);
  CHECK_EQ(info.numa[1].cpus.size(), 2U);
  std::string flags;
  for (const std::string& flag : info.flags) flags += flag + " ";
  CHECK_EQ(flags, "amx_bf16 amx_tile avx2 avx512f ");
  CHECK_EQ(info.memory.total, 16384U);
  CHECK_EQ(info.memory.available, 8192U);
  CHECK(!info.cgroup_memory_bytes);
}

CASE(arm_without_topology) {
  const check::Folder root;
  root.write(
      "/proc/cpuinfo",
      "processor\t: 0\nFeatures\t: fp asimd sve bf16\nCPU implementer\t: 0x48\nCPU part\t: 0xd01\n\nprocessor\t: 1\n");
  const CpuInfo info = read_cpu(root.path(), {});
  CHECK_EQ(info.model, "ARM implementer 0x48 part 0xd01");
  CHECK_EQ(info.logical_cores, 2);
  CHECK_EQ(info.physical_cores, 2);
  CHECK_EQ(info.sockets, 1);
  CHECK_EQ(info.flags.size(), 3U);
  CHECK_EQ(info.flags[1], "neon");
}

CASE(nothing_readable) {
  const check::Folder root;
  const CpuInfo info = read_cpu(root.path(), {});
  CHECK_EQ(info.model, "unknown");
  CHECK_EQ(info.memory.total, 0U);
}

CASE(this_machine) {
  const CpuInfo info = read_cpu("", allowed_cpus());
  CHECK(!info.allowed.empty());
  CHECK(info.logical_cores >= static_cast<int>(info.allowed.size()));
  CHECK(info.memory.available > 0 && info.memory.available <= info.memory.total);
}

CASE(cgroup_v2) {
  const check::Folder root;
  root.write("/proc/self/cgroup", "0::/outer/inner\n");
  root.write("/proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n");
  root.write("/sys/fs/cgroup/outer/memory.max", "1000000\n");
  root.write("/sys/fs/cgroup/outer/memory.current", "900000\n");
  root.write("/sys/fs/cgroup/outer/memory.stat", "anon 600000\ninactive_file 300000\n");
  root.write("/sys/fs/cgroup/outer/inner/memory.max", "max\n");
  root.write("/sys/fs/cgroup/outer/inner/cpu.max", "150000 100000\n");
  root.write("/sys/fs/cgroup/outer/cpu.max", "max 100000\n");
  const CgroupLimits limits = read_cgroup(root.path());
  CHECK_EQ(limits.memory_bytes.value_or(0), 1000000U);
  CHECK_EQ(limits.cpus.value_or(0), 1.5);
  CHECK_EQ(cgroup_free_bytes(root.path()).value_or(0), 400000U);
}

CASE(cgroup_v1_in_a_container) {
  const check::Folder root;
  root.write("/proc/self/cgroup", "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n");
  root.write("/proc/self/mountinfo",
             "31 23 0:27 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
             "32 23 0:28 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n");
  root.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2000000\n");
  root.write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "2500000\n");
  root.write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n");
  root.write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  const CgroupLimits limits = read_cgroup(root.path());
  CHECK_EQ(limits.memory_bytes.value_or(0), 2000000U);
  CHECK_EQ(limits.cpus.value_or(0), 0.5);
  CHECK_EQ(cgroup_free_bytes(root.path()).value_or(7), 0U);
}

CASE(cgroup_v1_without_limits) {
  const check::Folder root;
  root.write("/proc/self/cgroup", "4:memory:/\n3:cpu:/\n");
  root.write("/proc/self/mountinfo",
             "31 23 0:27 / /m rw - cgroup cgroup rw,memory\n32 23 0:28 / /c rw - cgroup cgroup rw,cpu\n");
  root.write("/m/memory.limit_in_bytes", "9223372036854771712\n");
  root.write("/c/cpu.cfs_quota_us", "-1\n");
  root.write("/c/cpu.cfs_period_us", "100000\n");
  const CgroupLimits limits = read_cgroup(root.path());
  CHECK(!limits.memory_bytes);
  CHECK(!limits.cpus);
  CHECK(!cgroup_free_bytes(root.path()));
}
