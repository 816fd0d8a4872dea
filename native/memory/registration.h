// Registering host pages with a device runtime of this process, by dlopen. It must not know segments.
#pragma once

#include <cstddef>
#include <functional>

namespace twinkle {

enum class Registrar { kNone, kCuda, kAcl };

/// Registers the pages and returns what undoes it (empty for kNone). Opens a device context.
/// Throws DEVICE_MISSING with the reason when the runtime is absent or refuses.
std::function<void()> register_pages(Registrar registrar, void* address, std::size_t size);

}  // namespace twinkle
