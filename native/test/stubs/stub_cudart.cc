// A look-alike of libcudart: keeps count of registrations; TWINKLE_STUB_CUDART_FAIL=1 refuses them.
#include <cstddef>
#include <cstdlib>

#define STUB extern "C" __attribute__((visibility("default")))

namespace {
int registered = 0;
}

STUB int cudaHostRegister(void*, std::size_t, unsigned flags) {
  if (std::getenv("TWINKLE_STUB_CUDART_FAIL") != nullptr) return 100;
  registered++;
  return flags == 1 ? 0 : 1;
}
STUB int cudaHostUnregister(void*) {
  registered--;
  return 0;
}
STUB const char* cudaGetErrorString(int) {
  return "no CUDA-capable device is detected";
}
STUB int twinkle_stub_registered() {
  return registered;
}
