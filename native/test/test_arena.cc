#include "check.h"
#include "memory/arena.h"

#include <map>
#include <random>

using namespace twinkle;

CASE(first_fit_and_coalescing) {
  Arena arena(1024);
  CHECK_EQ(arena.alloc(1, 7), 0U);
  CHECK_EQ(arena.alloc(65, 7), 64U);
  CHECK_EQ(arena.alloc(64, 8), 192U);
  CHECK_EQ(arena.stats().used_bytes, 256U);
  CHECK_EQ(arena.stats().largest_free_bytes, 768U);
  arena.release(64, 7);
  CHECK_EQ(arena.alloc(128, 9), 64U);
  arena.release(0, 7);
  arena.release(64, 9);
  arena.release(192, 8);
  CHECK_EQ(arena.stats().largest_free_bytes, 1024U);
  CHECK_EQ(arena.stats().blocks, 0U);
}

CASE(references) {
  Arena arena(1024);
  const auto block = arena.alloc(100, 1);
  arena.retain(block, 1);
  arena.retain(block, 2);
  arena.release(block, 1);
  arena.release(block, 1);
  CHECK_EQ(arena.stats().blocks, 1U);
  CHECK_HAS(check::thrown([&] { arena.release(block, 1); }), "holder 1 has no reference");
  CHECK_EQ(arena.release_holder(2), 1U);
  CHECK_HAS(check::thrown([&] { arena.release(block, 2); }), "no block begins at offset 0");
  CHECK_HAS(check::thrown([&] { arena.retain(64, 2); }), "no block begins at offset 64");
  CHECK_EQ(arena.release_holder(2), 0U);
}

CASE(full) {
  Arena arena(256);
  arena.alloc(128, 1);
  CHECK_HAS(check::thrown([&] { arena.alloc(129, 1); }), "SHM_FULL: no room for 129 bytes: 128 of 256 are free");
  CHECK_HAS(check::thrown([&] { arena.alloc(~std::uint64_t{0}, 1); }), "SHM_FULL");
  CHECK_HAS(check::thrown([&] { arena.alloc(0, 1); }), "at least 1 byte");
  CHECK_EQ(arena.alloc(128, 1), 128U);
  Arena none(63);
  CHECK_HAS(check::thrown([&] { none.alloc(1, 1); }), "SHM_FULL");
}

CASE(random_blocks_never_overlap) {
  std::mt19937 random(20260511);
  Arena arena(1 << 16);
  std::map<std::uint64_t, std::pair<std::uint64_t, std::uint64_t>> live;  // offset → (bytes, holder)
  for (int step = 0; step < 20000; step++) {
    if (random() % 2 == 0) {
      const std::uint64_t bytes = 1 + random() % 3000;
      const std::uint64_t holder = random() % 5;
      try {
        const std::uint64_t offset = arena.alloc(bytes, holder);
        const auto next = live.lower_bound(offset);
        CHECK(next == live.end() || offset + bytes <= next->first);
        CHECK(next == live.begin() || std::prev(next)->first + std::prev(next)->second.first <= offset);
        CHECK(offset + bytes <= arena.size() && offset % Arena::kAlign == 0);
        live[offset] = {bytes, holder};
      } catch (const Failure&) {
        CHECK(arena.stats().largest_free_bytes < (bytes + 63) / 64 * 64);
      }
    } else if (random() % 50 == 0) {
      const std::uint64_t holder = random() % 5;
      const std::uint64_t freed = arena.release_holder(holder);
      CHECK_EQ(freed, std::erase_if(live, [holder](const auto& block) { return block.second.second == holder; }));
    } else if (!live.empty()) {
      const auto block = std::next(live.begin(), static_cast<long>(random() % live.size()));
      arena.release(block->first, block->second.second);
      live.erase(block);
    }
    CHECK_EQ(arena.stats().blocks, live.size());
  }
  for (const auto& [offset, block] : live) arena.release(offset, block.second);
  CHECK_EQ(arena.stats().largest_free_bytes, arena.size());
}
