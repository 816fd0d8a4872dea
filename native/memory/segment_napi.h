// The JavaScript object of a segment.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>

#include "memory/segment.h"

namespace twinkle {

/// Owns a Segment together with the ArrayBuffer over it; the last of them to go unmaps.
class SegmentObject : public Napi::ObjectWrap<SegmentObject> {
 public:
  static Napi::Function define(Napi::Env env);
  /// A new JavaScript object over `segment`.
  static Napi::Object wrap(Napi::Env env, Segment segment);
  /// Throws NATIVE when `value` is something else.
  static std::shared_ptr<Segment> of(Napi::Env env, const Napi::Value& value);

  explicit SegmentObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value name(const Napi::CallbackInfo& info);
  Napi::Value size(const Napi::CallbackInfo& info);
  Napi::Value fd(const Napi::CallbackInfo& info);
  Napi::Value locked(const Napi::CallbackInfo& info);
  Napi::Value buffer(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  std::shared_ptr<Segment> segment_;
  Napi::Reference<Napi::ArrayBuffer> buffer_;
};

}  // namespace twinkle
