#include "device/pci.h"

#include <cstdio>
#include <cstdlib>

#include "text.h"

namespace twinkle {

std::optional<std::string> normal_pci(const std::string& address) {
  unsigned domain = 0, bus = 0, device = 0, function = 0;
  int used = 0;
  const int got = std::sscanf(address.c_str(), "%8x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &used);
  if (got != 4 || used != static_cast<int>(address.size())) return std::nullopt;
  char text[32];
  std::snprintf(text, sizeof text, "%04x:%02x:%02x.%x", domain, bus, device, function);
  return text;
}

std::optional<int> pci_numa_node(const std::string& root, const std::string& address) {
  const auto normal = normal_pci(address);
  if (!normal) return std::nullopt;
  const auto text = read_text(root + "/sys/bus/pci/devices/" + *normal + "/numa_node");
  if (!text) return std::nullopt;
  // The kernel writes -1 for "no node".
  const auto node = parse_u64(trim(*text));
  if (!node) return std::nullopt;
  return static_cast<int>(*node);
}

}  // namespace twinkle
