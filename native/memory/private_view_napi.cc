#include <cstdint>
#include <memory>

#include "memory/private_view.h"
#include "module.h"
#include "napi_util.h"

namespace twinkle {

Napi::Value call_map_private(const Napi::CallbackInfo& info) {
  constexpr double kMostBytes = 9007199254740991.0;  // Number.MAX_SAFE_INTEGER
  const Reader read("mapPrivate");
  const int fd = read.fd(info[0], "fd");
  const double offset = read.whole(info[1], "offset", 0, kMostBytes);
  const double size = read.whole(info[2], "size", 1, kMostBytes);
  auto view = std::make_unique<PrivateView>(
      PrivateView::map(fd, static_cast<std::uint64_t>(offset), static_cast<std::uint64_t>(size)));
  const auto made = Napi::ArrayBuffer::New(
      info.Env(), view->data(), view->size(),
      [](Napi::Env env, void*, PrivateView* owner) {
        Napi::MemoryManagement::AdjustExternalMemory(env, static_cast<std::int64_t>(owner->size()));
        delete owner;
      },
      view.get());
  // V8 counts it as memory of this process, and would collect its garbage at every second large array. It is the
  // store's.
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(), -static_cast<std::int64_t>(view->size()));
  view.release();  // the buffer's now
  return made;
}

}  // namespace twinkle
