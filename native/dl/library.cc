#include "dl/library.h"

#include <dlfcn.h>
#include <link.h>

#include <cstdlib>

namespace twinkle {

Library Library::open(const char* override_env, const std::vector<std::string>& names) {
  std::vector<std::string> candidates = names;
  const char* wanted = std::getenv(override_env);
  if (wanted != nullptr && *wanted != '\0') candidates = {wanted};

  Library library;
  std::string reasons;
  for (const std::string& name : candidates) {
    library.handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library.handle_ != nullptr) {
      library.status_.library = name;
      library.status_.loaded = true;
      link_map* map = nullptr;
      if (dlinfo(library.handle_, RTLD_DI_LINKMAP, &map) == 0 && map != nullptr && map->l_name[0] != '\0')
        library.status_.path = map->l_name;
      return library;
    }
    const char* words = dlerror();
    if (!reasons.empty()) reasons += "; ";
    reasons += words != nullptr ? words : name + ": unknown error of dlopen";
  }
  library.status_.library = candidates.front();
  library.status_.reason = reasons;
  return library;
}

LibraryStatus Library::refused(const std::string& reason) const {
  LibraryStatus status = status_;
  status.loaded = false;
  status.reason = reason;
  return status;
}

void* Library::find(const char* name) const {
  return handle_ == nullptr ? nullptr : dlsym(handle_, name);
}

}  // namespace twinkle
