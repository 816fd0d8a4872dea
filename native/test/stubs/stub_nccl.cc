// A look-alike of libnccl: TWINKLE_STUB_NCCL_FAIL=1 makes it refuse.
#include <cstdlib>

extern "C" __attribute__((visibility("default"))) int ncclGetUniqueId(unsigned char* id) {
  if (std::getenv("TWINKLE_STUB_NCCL_FAIL") != nullptr) return 2;
  for (int i = 0; i < 128; i++) id[i] = static_cast<unsigned char>(i);
  return 0;
}

extern "C" __attribute__((visibility("default"))) const char* ncclGetErrorString(int status) {
  return status == 2 ? "unhandled system error" : "no error";
}
