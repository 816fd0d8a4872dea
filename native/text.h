// Reading the small text files of /proc and /sys, and taking their lines apart. Pure but for reading.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace twinkle {

/// The whole file, or nothing when it cannot be read.
std::optional<std::string> read_text(const std::string& path);
/// Without white space at both ends.
std::string_view trim(std::string_view text);
/// Cut at every `separator`; empty pieces are kept.
std::vector<std::string_view> split(std::string_view text, char separator);
/// Pieces between runs of white space.
std::vector<std::string_view> words(std::string_view text);
/// Decimal digits only; nothing for anything else or beyond 64 bits.
std::optional<std::uint64_t> parse_u64(std::string_view text);
/// `0-3,8` as of the kernel's cpulist files; nothing when malformed. Sorted, each once.
std::optional<std::vector<int>> parse_cpu_list(std::string_view text);
/// Names of the entries of a folder, sorted; empty when it cannot be read.
std::vector<std::string> list_folder(const std::string& path);

}  // namespace twinkle
