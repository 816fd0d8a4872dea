// Ids that the ranks of a collective group share, from the vendors' libraries opened at run time.
#pragma once

#include <vector>

namespace twinkle {

/// 128 bytes of ncclGetUniqueId. Throws DEVICE_MISSING with the reason.
std::vector<unsigned char> nccl_unique_id();
/// 4108 bytes of HcclGetRootInfo; sets the ACL device first. Throws DEVICE_MISSING with the reason.
std::vector<unsigned char> hccl_root_info(int device);

}  // namespace twinkle
