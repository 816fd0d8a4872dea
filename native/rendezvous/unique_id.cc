#include "rendezvous/unique_id.h"

#include <cstdint>
#include <string>

#include "dl/library.h"
#include "failure.h"

namespace twinkle {
namespace {

constexpr std::size_t kNcclBytes = 128;
constexpr std::size_t kHcclBytes = 4108;
constexpr int kAclRepeatInitialize = 100002;

[[noreturn]] void missing(const std::string& what, const std::string& reason, const std::string& advice) {
  throw Failure("DEVICE_MISSING", what + ": " + reason + "; " + advice);
}

const char* const kAscendAdvice = "install CANN, source its set_env.sh, or name the library with ";

}  // namespace

std::vector<unsigned char> nccl_unique_id() {
  const std::string advice = "install NCCL or name its library with TWINKLE_NCCL_LIBRARY";
  const Library library = Library::open("TWINKLE_NCCL_LIBRARY", {"libnccl.so.2", "libnccl.so"});
  if (!library.loaded()) missing("no NCCL unique id", *library.status().reason, advice);
  const auto get = library.symbol<int (*)(unsigned char*)>("ncclGetUniqueId");
  const auto text = library.symbol<const char* (*)(int)>("ncclGetErrorString");
  if (get == nullptr) missing("no NCCL unique id", library.status().library + " lacks ncclGetUniqueId", advice);
  std::vector<unsigned char> id(kNcclBytes);
  if (const int status = get(id.data()); status != 0)
    missing("no NCCL unique id",
            "ncclGetUniqueId answered " + std::to_string(status) +
                (text != nullptr ? std::string(" (") + text(status) + ")" : ""),
            "check NCCL_SOCKET_IFNAME and NCCL_DEBUG=INFO");
  return id;
}

std::vector<unsigned char> hccl_root_info(int device) {
  const std::string what = "no HCCL root info";
  const Library acl = Library::open("TWINKLE_ACL_LIBRARY", {"libascendcl.so"});
  if (!acl.loaded()) missing(what, *acl.status().reason, std::string(kAscendAdvice) + "TWINKLE_ACL_LIBRARY");
  const Library hccl = Library::open("TWINKLE_HCCL_LIBRARY", {"libhccl.so"});
  if (!hccl.loaded()) missing(what, *hccl.status().reason, std::string(kAscendAdvice) + "TWINKLE_HCCL_LIBRARY");
  const auto init = acl.symbol<int (*)(const char*)>("aclInit");
  const auto set_device = acl.symbol<int (*)(std::int32_t)>("aclrtSetDevice");
  const auto get = hccl.symbol<int (*)(unsigned char*)>("HcclGetRootInfo");
  if (init == nullptr || set_device == nullptr || get == nullptr)
    missing(what, "aclInit, aclrtSetDevice or HcclGetRootInfo is not in the libraries", "install a matching CANN");
  // Another library of this process may have initialised ACL before.
  if (const int status = init(nullptr); status != 0 && status != kAclRepeatInitialize)
    missing(what, "aclInit answered " + std::to_string(status), "check the driver with npu-smi info");
  if (const int status = set_device(device); status != 0)
    missing(what, "aclrtSetDevice(" + std::to_string(device) + ") answered " + std::to_string(status),
            "check that the device exists and is free");
  std::vector<unsigned char> info(kHcclBytes);
  if (const int status = get(info.data()); status != 0)
    missing(what, "HcclGetRootInfo answered " + std::to_string(status), "check HCCL_IF_IP and HCCL_SOCKET_IFNAME");
  return info;
}

}  // namespace twinkle
