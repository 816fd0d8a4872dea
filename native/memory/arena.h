// Allocator over the offsets of a segment: who holds which block. It never touches the memory itself.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <unordered_map>
#include <vector>

namespace twinkle {

/// First fit by size class (powers of two), coalescing on free, blocks counted by holder. Not thread-safe.
class Arena {
 public:
  /// Alignment of every block in bytes: one cache line.
  static constexpr std::uint64_t kAlign = 64;

  struct Stats {
    std::uint64_t used_bytes = 0;
    std::uint64_t free_bytes = 0;
    std::uint64_t largest_free_bytes = 0;
    std::uint64_t blocks = 0;
  };

  /// @param size bytes; what is over a multiple of 64 is not used
  explicit Arena(std::uint64_t size);

  /// Offset of a new block with one reference of `holder`. Throws SHM_FULL; NATIVE for 0 bytes.
  std::uint64_t alloc(std::uint64_t bytes, std::uint64_t holder);
  /// Throws NATIVE when no block begins at `offset`.
  void retain(std::uint64_t offset, std::uint64_t holder);
  /// Throws NATIVE when `holder` has no reference there.
  void release(std::uint64_t offset, std::uint64_t holder);
  /// Drops all references of `holder`; the number of blocks that became free.
  std::uint64_t release_holder(std::uint64_t holder);
  Stats stats() const;
  std::uint64_t size() const { return size_; }

 private:
  struct Block {
    std::uint64_t size = 0;
    std::map<std::uint64_t, std::uint64_t> references;  // holder → count
  };

  static int size_class(std::uint64_t size);
  Block& at(std::uint64_t offset, const char* call);
  void insert_free(std::uint64_t offset, std::uint64_t size);
  void erase_free(std::map<std::uint64_t, std::uint64_t>::iterator block);
  void drop(std::uint64_t offset);
  void forget(std::uint64_t holder, std::uint64_t offset);

  std::uint64_t size_;
  std::uint64_t used_ = 0;
  std::map<std::uint64_t, std::uint64_t> free_;   // offset → size
  std::vector<std::set<std::uint64_t>> classes_;  // offsets of free blocks, by size class
  std::unordered_map<std::uint64_t, Block> blocks_;
  std::unordered_map<std::uint64_t, std::set<std::uint64_t>> held_;  // holder → offsets
};

}  // namespace twinkle
