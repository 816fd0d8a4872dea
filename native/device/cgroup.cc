#include "device/cgroup.h"

#include <algorithm>
#include <vector>

#include "text.h"

namespace twinkle {
namespace {

// v1 writes "no limit" as the largest multiple of the page below 2^63.
constexpr std::uint64_t kNoLimit = std::uint64_t{1} << 60;

bool contains(std::string_view list, std::string_view word) {
  const auto pieces = split(list, ',');
  return std::find(pieces.begin(), pieces.end(), word) != pieces.end();
}

// The folder where a hierarchy is mounted: cgroup2, or the v1 hierarchy of `controller`; and what it shows.
struct Mount {
  std::string point;
  std::string shown;
  bool v2 = false;
};

std::optional<Mount> find_mount(const std::string& root, std::string_view controller, bool v2) {
  const auto text = read_text(root + "/proc/self/mountinfo");
  if (!text) return std::nullopt;
  for (const std::string_view line : split(*text, '\n')) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    const auto left = words(line.substr(0, dash));
    const auto right = words(line.substr(dash + 3));
    if (left.size() < 5 || right.size() < 3) continue;
    if (v2 ? right[0] == "cgroup2" : right[0] == "cgroup" && contains(right[2], controller))
      return Mount{root + std::string(left[4]), std::string(left[3]), v2};
  }
  return std::nullopt;
}

// Path of this process's group inside its hierarchy.
std::optional<std::string> find_group(const std::string& root, std::string_view controller, bool v2) {
  const auto text = read_text(root + "/proc/self/cgroup");
  if (!text) return std::nullopt;
  for (const std::string_view line : split(*text, '\n')) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    if (v2 ? line.substr(0, second + 1) == "0::" : contains(controllers, controller))
      return std::string(line.substr(second + 1));
  }
  return std::nullopt;
}

// Folders from the group up to the mount point, the group first.
std::vector<std::string> chain(const std::string& root, std::string_view controller, bool v2) {
  const auto mount = find_mount(root, controller, v2);
  auto group = find_group(root, controller, v2);
  if (!mount || !group) return {};
  // In a container the mount shows a part of the tree: cut what is above it.
  if (mount->shown != "/" && group->rfind(mount->shown, 0) == 0) group = group->substr(mount->shown.size());
  std::vector<std::string> folders;
  std::string path = *group;
  while (path.size() > 1) {
    folders.push_back(mount->point + path);
    path.resize(path.rfind('/'));
  }
  folders.push_back(mount->point);
  return folders;
}

void tighten(std::optional<std::uint64_t>& limit, std::optional<std::uint64_t> value) {
  if (value && *value < kNoLimit && (!limit || *value < *limit)) limit = value;
}

std::optional<std::uint64_t> number_in(const std::string& path) {
  const auto text = read_text(path);
  return text ? parse_u64(trim(*text)) : std::nullopt;
}

std::uint64_t stat_value(const std::string& path, std::string_view key) {
  const auto text = read_text(path);
  if (!text) return 0;
  for (const std::string_view line : split(*text, '\n')) {
    const auto pair = words(line);
    if (pair.size() == 2 && pair[0] == key) return parse_u64(pair[1]).value_or(0);
  }
  return 0;
}

void tighten_cpus(std::optional<double>& limit, std::optional<std::uint64_t> quota,
                  std::optional<std::uint64_t> period) {
  if (!quota || !period || *period == 0) return;
  const double cpus = static_cast<double>(*quota) / static_cast<double>(*period);
  if (!limit || cpus < *limit) limit = cpus;
}

}  // namespace

CgroupLimits read_cgroup(const std::string& root) {
  CgroupLimits limits;
  for (const std::string& folder : chain(root, "", true)) {
    tighten(limits.memory_bytes, number_in(folder + "/memory.max"));
    if (const auto text = read_text(folder + "/cpu.max")) {
      const auto pair = words(*text);
      if (pair.size() == 2) tighten_cpus(limits.cpus, parse_u64(pair[0]), parse_u64(pair[1]));
    }
  }
  for (const std::string& folder : chain(root, "memory", false))
    tighten(limits.memory_bytes, number_in(folder + "/memory.limit_in_bytes"));
  for (const std::string& folder : chain(root, "cpu", false))
    tighten_cpus(limits.cpus, number_in(folder + "/cpu.cfs_quota_us"), number_in(folder + "/cpu.cfs_period_us"));
  return limits;
}

std::optional<std::uint64_t> cgroup_free_bytes(const std::string& root) {
  std::optional<std::uint64_t> least;
  const auto level = [&least](const std::string& folder, const char* limit_file, const char* used_file,
                              const char* cache) {
    const auto limit = number_in(folder + limit_file);
    const auto used = number_in(folder + used_file);
    if (!limit || !used || *limit >= kNoLimit) return;
    const std::uint64_t droppable = std::min(*used, stat_value(folder + "/memory.stat", cache));
    const std::uint64_t held = *used - droppable;
    tighten(least, *limit > held ? *limit - held : 0);
  };
  for (const std::string& folder : chain(root, "", true))
    level(folder, "/memory.max", "/memory.current", "inactive_file");
  for (const std::string& folder : chain(root, "memory", false))
    level(folder, "/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file");
  return least;
}

}  // namespace twinkle
