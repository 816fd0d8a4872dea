#include "memory/arena.h"

#include <bit>
#include <cerrno>
#include <string>

#include "failure.h"

namespace twinkle {

Arena::Arena(std::uint64_t size) : size_(size / kAlign * kAlign), classes_(64) {
  if (size_ > 0) insert_free(0, size_);
}

int Arena::size_class(std::uint64_t size) {
  return std::bit_width(size / kAlign) - 1;
}

std::uint64_t Arena::alloc(std::uint64_t bytes, std::uint64_t holder) {
  if (bytes == 0) fail_argument("alloc", "expected at least 1 byte for `bytes` but received 0");
  const std::uint64_t need = bytes > size_ ? bytes : (bytes + kAlign - 1) / kAlign * kAlign;
  if (need <= size_) {
    for (std::size_t c = static_cast<std::size_t>(size_class(need)); c < classes_.size(); c++) {
      for (const std::uint64_t offset : classes_[c]) {
        const auto found = free_.find(offset);
        if (found->second < need) continue;
        const std::uint64_t rest = found->second - need;
        erase_free(found);
        if (rest > 0) insert_free(offset + need, rest);
        Block& block = blocks_[offset];
        block.size = need;
        block.references[holder] = 1;
        held_[holder].insert(offset);
        used_ += need;
        return offset;
      }
    }
  }
  const Stats now = stats();
  throw Failure("SHM_FULL", "no room for " + std::to_string(bytes) + " bytes: " + std::to_string(now.free_bytes) +
                                " of " + std::to_string(size_) + " are free, the largest block has " +
                                std::to_string(now.largest_free_bytes) + "; release blocks or make the segment larger")
      .with("needBytes", static_cast<double>(bytes))
      .with("freeBytes", static_cast<double>(now.free_bytes))
      .with("largestFreeBytes", static_cast<double>(now.largest_free_bytes));
}

Arena::Block& Arena::at(std::uint64_t offset, const char* call) {
  const auto found = blocks_.find(offset);
  if (found == blocks_.end())
    fail_argument(call, "no block begins at offset " + std::to_string(offset) + "; it was released or never allocated");
  return found->second;
}

void Arena::retain(std::uint64_t offset, std::uint64_t holder) {
  Block& block = at(offset, "retain");
  block.references[holder]++;
  held_[holder].insert(offset);
}

void Arena::release(std::uint64_t offset, std::uint64_t holder) {
  Block& block = at(offset, "release");
  const auto reference = block.references.find(holder);
  if (reference == block.references.end())
    fail_argument("release", "holder " + std::to_string(holder) + " has no reference to the block at offset " +
                                 std::to_string(offset));
  if (--reference->second > 0) return;
  block.references.erase(reference);
  forget(holder, offset);
  if (block.references.empty()) drop(offset);
}

std::uint64_t Arena::release_holder(std::uint64_t holder) {
  const auto found = held_.find(holder);
  if (found == held_.end()) return 0;
  const std::set<std::uint64_t> offsets = std::move(found->second);
  held_.erase(found);
  std::uint64_t freed = 0;
  for (const std::uint64_t offset : offsets) {
    Block& block = blocks_.at(offset);
    block.references.erase(holder);
    if (!block.references.empty()) continue;
    drop(offset);
    freed++;
  }
  return freed;
}

Arena::Stats Arena::stats() const {
  Stats stats;
  stats.used_bytes = used_;
  stats.free_bytes = size_ - used_;
  stats.blocks = blocks_.size();
  // The largest free block is in the highest class that has any.
  for (auto c = classes_.rbegin(); c != classes_.rend() && stats.largest_free_bytes == 0; ++c)
    for (const std::uint64_t offset : *c)
      stats.largest_free_bytes = std::max(stats.largest_free_bytes, free_.at(offset));
  return stats;
}

void Arena::insert_free(std::uint64_t offset, std::uint64_t size) {
  free_.emplace(offset, size);
  classes_[static_cast<std::size_t>(size_class(size))].insert(offset);
}

void Arena::erase_free(std::map<std::uint64_t, std::uint64_t>::iterator block) {
  classes_[static_cast<std::size_t>(size_class(block->second))].erase(block->first);
  free_.erase(block);
}

void Arena::drop(std::uint64_t offset) {
  std::uint64_t begin = offset;
  std::uint64_t size = blocks_.at(offset).size;
  used_ -= size;
  blocks_.erase(offset);
  const auto after = free_.lower_bound(offset);
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == begin) {
      begin = before->first;
      size += before->second;
      erase_free(before);
    }
  }
  if (after != free_.end() && begin + size == after->first) {
    size += after->second;
    erase_free(after);
  }
  insert_free(begin, size);
}

void Arena::forget(std::uint64_t holder, std::uint64_t offset) {
  const auto found = held_.find(holder);
  found->second.erase(offset);
  if (found->second.empty()) held_.erase(found);
}

}  // namespace twinkle
