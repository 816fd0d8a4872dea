#include "check.h"
#include "device/pci.h"
#include "text.h"

using namespace twinkle;

static std::string joined(const std::optional<std::vector<int>>& numbers) {
  if (!numbers) return "malformed";
  std::string text;
  for (const int number : *numbers) text += std::to_string(number) + " ";
  return text;
}

CASE(cpu_lists) {
  CHECK_EQ(joined(parse_cpu_list("0-3,8\n")), "0 1 2 3 8 ");
  CHECK_EQ(joined(parse_cpu_list("5,1,1-2")), "1 2 5 ");
  CHECK_EQ(joined(parse_cpu_list("")), "");
  for (const char* wrong : {"3-1", "a", "1-", "-1", "1,,2", "99999999", "0-4294967295"})
    CHECK_EQ(joined(parse_cpu_list(wrong)), "malformed");
}

CASE(numbers) {
  CHECK_EQ(parse_u64("42").value_or(0), 42U);
  for (const char* wrong : {"", " 1", "1 ", "-1", "0x10", "18446744073709551616"}) CHECK(!parse_u64(wrong));
}

CASE(pieces) {
  CHECK_EQ(split("a::b", ':').size(), 3U);
  CHECK_EQ(words("  a \t b\n").size(), 2U);
  CHECK_EQ(std::string(trim("\n x \t")), "x");
  CHECK(!read_text("/nowhere/at/all"));
  CHECK(list_folder("/nowhere/at/all").empty());
}

CASE(pci_addresses) {
  CHECK_EQ(normal_pci("00000000:C1:00.0").value_or(""), "0000:c1:00.0");
  CHECK_EQ(normal_pci("0001:0a:1f.7").value_or(""), "0001:0a:1f.7");
  for (const char* wrong : {"", "OK", "c1:00.0", "0000:c1:00", "0000:c1:00.0x"}) CHECK(!normal_pci(wrong));
  const check::Folder root;
  root.write("/sys/bus/pci/devices/0000:c1:00.0/numa_node", "1\n");
  root.write("/sys/bus/pci/devices/0000:c2:00.0/numa_node", "-1\n");
  CHECK_EQ(pci_numa_node(root.path(), "00000000:C1:00.0").value_or(-7), 1);
  CHECK(!pci_numa_node(root.path(), "0000:c2:00.0"));
  CHECK(!pci_numa_node(root.path(), "0000:c3:00.0"));
}
