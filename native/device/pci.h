// PCI addresses as sysfs writes them, and the NUMA node behind one.
#pragma once

#include <optional>
#include <string>

namespace twinkle {

/// `0000:c1:00.0` from any vendor's form (`00000000:C1:00.0`); nothing when it is not a PCI address.
std::optional<std::string> normal_pci(const std::string& address);
/// NUMA node of a device; nothing on a machine with one node or when the kernel does not say. `root` is "" or a
/// fixture.
std::optional<int> pci_numa_node(const std::string& root, const std::string& address);

}  // namespace twinkle
