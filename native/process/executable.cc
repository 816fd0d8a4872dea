#include "process/executable.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "failure.h"
#include "text.h"

namespace twinkle {
namespace {

constexpr std::string_view kDefaultPath = "/usr/local/bin:/usr/bin:/bin";

std::string path_of(const std::vector<std::string>& env) {
  for (const std::string& entry : env)
    if (entry.rfind("PATH=", 0) == 0) return entry.substr(5);
  return std::string(kDefaultPath);
}

}  // namespace

std::string find_executable(const std::string& file, const std::vector<std::string>& env) {
  if (file.empty()) fail_argument("spawn", "expected a program for `file` but received an empty string");
  if (file.find('/') != std::string::npos) return file;
  const std::string path = path_of(env);
  bool forbidden = false;
  for (const std::string_view folder : split(path, ':')) {
    // An empty entry of PATH means the current folder.
    const std::string candidate = (folder.empty() ? "." : std::string(folder)) + "/" + file;
    struct stat facts{};
    if (stat(candidate.c_str(), &facts) != 0 || !S_ISREG(facts.st_mode)) continue;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    forbidden = true;
  }
  fail_call("exec " + file, forbidden ? EACCES : ENOENT,
            forbidden ? "the file in PATH is not executable"
                      : "it is in no folder of PATH (" + path + "); give its whole path");
}

}  // namespace twinkle
