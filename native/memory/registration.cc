#include "memory/registration.h"

#include <cstdint>
#include <string>

#include "dl/library.h"
#include "failure.h"

namespace twinkle {
namespace {

// cudaHostRegisterPortable: page-locked for every CUDA context of the process, not only the current one.
constexpr unsigned kCudaPortable = 1;
// ACL_HOST_REGISTER_MAPPED, the only type there is.
constexpr int kAclMapped = 0;
// aclInit was called before in this process, by us or by another library.
constexpr int kAclRepeatInitialize = 100002;

[[noreturn]] void missing(const std::string& what, const std::string& reason) {
  throw Failure("DEVICE_MISSING", "pages cannot be registered with " + what + ": " + reason +
                                      "; use register \"none\" and let the rank register them");
}

std::function<void()> register_cuda(void* address, std::size_t size) {
  static const Library library = Library::open(
      "TWINKLE_CUDART_LIBRARY", {"libcudart.so", "libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0"});
  if (!library.loaded()) missing("CUDA", *library.status().reason);
  const auto enter = library.symbol<int (*)(void*, std::size_t, unsigned)>("cudaHostRegister");
  const auto leave = library.symbol<int (*)(void*)>("cudaHostUnregister");
  const auto words = library.symbol<const char* (*)(int)>("cudaGetErrorString");
  if (enter == nullptr || leave == nullptr) missing("CUDA", library.status().library + " lacks cudaHostRegister");
  if (const int status = enter(address, size, kCudaPortable); status != 0)
    missing("CUDA", "cudaHostRegister answered " + std::to_string(status) +
                        (words != nullptr ? std::string(" (") + words(status) + ")" : ""));
  return [leave, address] { leave(address); };
}

std::function<void()> register_acl(void* address, std::size_t size) {
  static const Library library = Library::open("TWINKLE_ACL_LIBRARY", {"libascendcl.so"});
  if (!library.loaded()) missing("ACL", *library.status().reason);
  const auto init = library.symbol<int (*)(const char*)>("aclInit");
  const auto get_device = library.symbol<int (*)(std::int32_t*)>("aclrtGetDevice");
  const auto set_device = library.symbol<int (*)(std::int32_t)>("aclrtSetDevice");
  const auto enter = library.symbol<int (*)(void*, std::uint64_t, int, void**)>("aclrtHostRegister");
  const auto leave = library.symbol<int (*)(void*)>("aclrtHostUnregister");
  if (init == nullptr || set_device == nullptr || enter == nullptr || leave == nullptr)
    missing("ACL", library.status().library + " lacks aclrtHostRegister");
  if (const int status = init(nullptr); status != 0 && status != kAclRepeatInitialize)
    missing("ACL", "aclInit answered " + std::to_string(status));
  std::int32_t device = 0;
  if (get_device == nullptr || get_device(&device) != 0)
    if (const int status = set_device(0); status != 0)
      missing("ACL", "aclrtSetDevice(0) answered " + std::to_string(status));
  void* mapped = nullptr;
  if (const int status = enter(address, size, kAclMapped, &mapped); status != 0)
    missing("ACL", "aclrtHostRegister answered " + std::to_string(status));
  return [leave, address] { leave(address); };
}

}  // namespace

std::function<void()> register_pages(Registrar registrar, void* address, std::size_t size) {
  switch (registrar) {
    case Registrar::kCuda:
      return register_cuda(address, size);
    case Registrar::kAcl:
      return register_acl(address, size);
    case Registrar::kNone:
      break;
  }
  return {};
}

}  // namespace twinkle
