// The JavaScript object of an arena over a segment.
#include "memory/arena.h"

#include <memory>

#include "memory/segment_napi.h"
#include "module.h"
#include "napi_util.h"

namespace twinkle {
namespace {

constexpr double kMostBytes = 9007199254740991.0;  // Number.MAX_SAFE_INTEGER

class ArenaObject : public Napi::ObjectWrap<ArenaObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "NativeArena",
        {InstanceAccessor<&ArenaObject::size>("size"), InstanceMethod<&ArenaObject::alloc>("alloc"),
         InstanceMethod<&ArenaObject::retain>("retain"), InstanceMethod<&ArenaObject::release>("release"),
         InstanceMethod<&ArenaObject::release_holder>("releaseHolder"), InstanceMethod<&ArenaObject::stats>("stats")});
  }

  explicit ArenaObject(const Napi::CallbackInfo& info)
      : ObjectWrap(info),
        segment_(guarded(info.Env(), [&info] { return SegmentObject::of(info.Env(), info[0]); })),
        arena_(segment_->size()) {
    guarded(info.Env(), [this] { open(); });
  }

 private:
  // Handing out offsets of a mapping that is gone would only fail later and further away.
  Arena& open() {
    if (segment_->closed()) throw Failure("SEGMENT_CLOSED", "the arena's segment " + segment_->name() + " is closed");
    return arena_;
  }

  static std::uint64_t whole(const char* call, const Napi::Value& value, const char* name) {
    return static_cast<std::uint64_t>(Reader(call).whole(value, name, 0, kMostBytes));
  }

  Napi::Value size(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(arena_.size()));
  }

  Napi::Value alloc(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      const std::uint64_t offset = open().alloc(whole("alloc", info[0], "bytes"), whole("alloc", info[1], "holder"));
      return Napi::Number::New(info.Env(), static_cast<double>(offset));
    });
  }

  void retain(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { open().retain(whole("retain", info[0], "offset"), whole("retain", info[1], "holder")); });
  }

  // Releasing is allowed after close: teardown must not depend on an order.
  void release(const Napi::CallbackInfo& info) {
    guarded(info.Env(),
            [&] { arena_.release(whole("release", info[0], "offset"), whole("release", info[1], "holder")); });
  }

  Napi::Value release_holder(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      const std::uint64_t freed = arena_.release_holder(whole("releaseHolder", info[0], "holder"));
      return Napi::Number::New(info.Env(), static_cast<double>(freed));
    });
  }

  Napi::Value stats(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const Arena::Stats stats = arena_.stats();
    Napi::Object value = Napi::Object::New(env);
    value["usedBytes"] = Napi::Number::New(env, static_cast<double>(stats.used_bytes));
    value["freeBytes"] = Napi::Number::New(env, static_cast<double>(stats.free_bytes));
    value["largestFreeBytes"] = Napi::Number::New(env, static_cast<double>(stats.largest_free_bytes));
    value["blocks"] = Napi::Number::New(env, static_cast<double>(stats.blocks));
    return value;
  }

  std::shared_ptr<Segment> segment_;
  Arena arena_;
};

}  // namespace

Napi::Function define_arena(Napi::Env env) {
  return ArenaObject::define(env);
}

Napi::Value call_arena(const Napi::CallbackInfo& info) {
  return Module::of(info.Env()).arena_class.New({info[0]});
}

}  // namespace twinkle
