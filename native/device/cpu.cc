#include "device/cpu.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <utility>

#include "device/cgroup.h"
#include "text.h"

namespace twinkle {
namespace {

// The kernel's word → ours. Only what changes which kernels an engine may use.
const std::map<std::string_view, std::string_view> kFlags = {
    {"avx", "avx"},
    {"avx2", "avx2"},
    {"fma", "fma"},
    {"f16c", "f16c"},
    {"avx_vnni", "avx_vnni"},
    {"avx512f", "avx512f"},
    {"avx512bw", "avx512bw"},
    {"avx512vl", "avx512vl"},
    {"avx512_vnni", "avx512_vnni"},
    {"avx512_bf16", "avx512_bf16"},
    {"avx512_fp16", "avx512_fp16"},
    {"amx_tile", "amx_tile"},
    {"amx_int8", "amx_int8"},
    {"amx_bf16", "amx_bf16"},
    {"amx_fp16", "amx_fp16"},
    {"asimd", "neon"},
    {"asimddp", "dotprod"},
    {"asimdhp", "fp16"},
    {"bf16", "bf16"},
    {"i8mm", "i8mm"},
    {"sve", "sve"},
    {"sve2", "sve2"},
};

std::uint64_t kilobytes(std::string_view text, std::string_view key) {
  for (const std::string_view line : split(text, '\n')) {
    const std::size_t at = line.find(key);
    if (at == std::string_view::npos) continue;
    const auto rest = words(line.substr(at + key.size()));
    if (!rest.empty()) return parse_u64(rest[0]).value_or(0) * 1024;
  }
  return 0;
}

void read_cpuinfo(const std::string& root, CpuInfo& info) {
  info.model = "unknown";
  const auto text = read_text(root + "/proc/cpuinfo");
  if (!text) return;
  std::string implementer, part;
  std::set<std::string> flags;
  for (const std::string_view line : split(*text, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view key = trim(line.substr(0, colon));
    const std::string_view value = trim(line.substr(colon + 1));
    if (key == "processor") info.logical_cores++;
    if (key == "model name") info.model = value;
    if (key == "CPU implementer") implementer = value;
    if (key == "CPU part") part = value;
    if ((key == "flags" || key == "Features") && flags.empty())
      for (const std::string_view word : words(value))
        if (const auto known = kFlags.find(word); known != kFlags.end()) flags.emplace(known->second);
  }
  info.flags.assign(flags.begin(), flags.end());
  // ARM kernels give numbers instead of a name.
  if (info.model == "unknown" && !implementer.empty()) info.model = "ARM implementer " + implementer + " part " + part;
}

void read_topology(const std::string& root, CpuInfo& info) {
  const std::string folder = root + "/sys/devices/system/cpu";
  std::vector<int> online;
  if (const auto text = read_text(folder + "/online")) online = parse_cpu_list(*text).value_or(std::vector<int>{});
  std::set<std::string> sockets;
  std::set<std::pair<std::string, std::string>> cores;
  for (const int cpu : online) {
    const std::string topology = folder + "/cpu" + std::to_string(cpu) + "/topology";
    const auto package = read_text(topology + "/physical_package_id");
    const auto core = read_text(topology + "/core_id");
    if (!package || !core) continue;
    sockets.insert(*package);
    cores.emplace(*package, *core);
  }
  if (!online.empty()) info.logical_cores = static_cast<int>(online.size());
  info.sockets = std::max<int>(1, static_cast<int>(sockets.size()));
  // A kernel without topology files: every CPU counts as a core.
  info.physical_cores = cores.empty() ? info.logical_cores : static_cast<int>(cores.size());
}

void read_numa(const std::string& root, CpuInfo& info) {
  const std::string folder = root + "/sys/devices/system/node";
  for (const std::string& name : list_folder(folder)) {
    if (name.rfind("node", 0) != 0) continue;
    const auto number = parse_u64(std::string_view(name).substr(4));
    if (!number) continue;
    NumaNode node;
    node.node = static_cast<int>(*number);
    if (const auto text = read_text(folder + "/" + name + "/cpulist"))
      node.cpus = parse_cpu_list(*text).value_or(std::vector<int>{});
    if (const auto text = read_text(folder + "/" + name + "/meminfo"))
      node.memory_bytes = kilobytes(*text, "MemTotal:");
    info.numa.push_back(std::move(node));
  }
  std::sort(info.numa.begin(), info.numa.end(), [](const NumaNode& a, const NumaNode& b) { return a.node < b.node; });
}

}  // namespace

Memory read_memory(const std::string& root) {
  const auto text = read_text(root + "/proc/meminfo");
  if (!text) return {};
  return {kilobytes(*text, "MemTotal:"), kilobytes(*text, "MemAvailable:")};
}

std::vector<int> allowed_cpus() {
  // The kernel refuses a mask that is smaller than its own: grow until it fits.
  for (int count = 1024; count <= 65536; count *= 2) {
    cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(count));
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(count));
    CPU_ZERO_S(bytes, set);
    const bool fits = sched_getaffinity(0, bytes, set) == 0;
    const int error = errno;
    std::vector<int> cpus;
    for (int cpu = 0; fits && cpu < count; cpu++)
      if (CPU_ISSET_S(static_cast<std::size_t>(cpu), bytes, set)) cpus.push_back(cpu);
    CPU_FREE(set);
    if (fits || error != EINVAL) return cpus;
  }
  return {};
}

CpuInfo read_cpu(const std::string& root, std::vector<int> allowed) {
  CpuInfo info;
  read_cpuinfo(root, info);
  read_topology(root, info);
  read_numa(root, info);
  info.allowed = std::move(allowed);
  info.memory = read_memory(root);
  const CgroupLimits limits = read_cgroup(root);
  info.cgroup_memory_bytes = limits.memory_bytes;
  info.cgroup_cpus = limits.cpus;
  return info;
}

}  // namespace twinkle
