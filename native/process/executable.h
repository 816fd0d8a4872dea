// Which file a command name means. Done in the parent: after the fork nothing may allocate.
#pragma once

#include <string>
#include <vector>

namespace twinkle {

/// A name with a slash as it is; another is looked up in the PATH of `env` (KEY=value).
/// Throws NATIVE with ENOENT or EACCES of "exec".
std::string find_executable(const std::string& file, const std::vector<std::string>& env);

}  // namespace twinkle
