// A look-alike of libascendcl: devices below TWINKLE_STUB_ACL_DEVICES (2) exist. Already initialised, as under
// torch_npu.
#include <cstdint>
#include <cstdlib>

#define STUB extern "C" __attribute__((visibility("default")))

namespace {
std::int32_t current = -1;
}

STUB int aclInit(const char*) {
  return 100002;
}
STUB int aclrtGetDevice(std::int32_t* device) {
  *device = current;
  return current < 0 ? 107002 : 0;
}
STUB int aclrtSetDevice(std::int32_t device) {
  const char* text = std::getenv("TWINKLE_STUB_ACL_DEVICES");
  if (device >= (text == nullptr ? 2 : std::atoi(text))) return 107001;
  current = device;
  return 0;
}
STUB int aclrtHostRegister(void* address, std::uint64_t, int, void** mapped) {
  *mapped = address;
  return current < 0 ? 107002 : 0;
}
STUB int aclrtHostUnregister(void*) {
  return 0;
}
