#include "memory/segment_napi.h"

#include "memory/limits.h"
#include "module.h"
#include "napi_util.h"

namespace twinkle {
namespace {

constexpr double kMostBytes = 9007199254740991.0;  // Number.MAX_SAFE_INTEGER

Registrar registrar_of(const std::string& word) {
  if (word == "none") return Registrar::kNone;
  if (word == "cuda") return Registrar::kCuda;
  if (word == "acl") return Registrar::kAcl;
  fail_argument("segmentCreate", "expected none, cuda or acl for `register` but received \"" + word + "\"");
}

}  // namespace

Napi::Function SegmentObject::define(Napi::Env env) {
  return DefineClass(
      env, "NativeSegment",
      {InstanceAccessor<&SegmentObject::name>("name"), InstanceAccessor<&SegmentObject::size>("size"),
       InstanceAccessor<&SegmentObject::fd>("fd"), InstanceAccessor<&SegmentObject::locked>("locked"),
       InstanceMethod<&SegmentObject::buffer>("buffer"), InstanceMethod<&SegmentObject::close>("close")});
}

Napi::Object SegmentObject::wrap(Napi::Env env, Segment segment) {
  auto owned = std::make_shared<Segment>(std::move(segment));
  const auto external = Napi::External<std::shared_ptr<Segment>>::New(env, &owned);
  return Module::of(env).segment_class.New({external});
}

std::shared_ptr<Segment> SegmentObject::of(Napi::Env env, const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().InstanceOf(Module::of(env).segment_class.Value()))
    fail_argument("arena", "expected a segment of this addon for `segment`");
  return Unwrap(value.As<Napi::Object>())->segment_;
}

SegmentObject::SegmentObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  // Only wrap() has such a value: JavaScript cannot construct one.
  if (info.Length() != 1 || !info[0].IsExternal())
    throw Napi::TypeError::New(info.Env(), "a segment is made by segmentCreate or segmentOpen");
  segment_ = *info[0].As<Napi::External<std::shared_ptr<Segment>>>().Data();
}

Napi::Value SegmentObject::name(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), segment_->name());
}

Napi::Value SegmentObject::size(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(segment_->size()));
}

Napi::Value SegmentObject::fd(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), segment_->fd());
}

Napi::Value SegmentObject::locked(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), segment_->locked());
}

Napi::Value SegmentObject::buffer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    if (segment_->closed())
      throw Failure("SEGMENT_CLOSED", "segment " + segment_->name() + " is closed; create or open another one");
    if (buffer_.IsEmpty()) {
      // The buffer keeps the mapping alive when JavaScript drops the segment without closing it.
      auto* owner = new std::shared_ptr<Segment>(segment_);
      const auto made = Napi::ArrayBuffer::New(
          env, segment_->address(), segment_->size(),
          [](Napi::Env, void*, std::shared_ptr<Segment>* hint) { delete hint; }, owner);
      buffer_ = Napi::Reference<Napi::ArrayBuffer>::New(made, 1);
    }
    return buffer_.Value();
  });
}

void SegmentObject::close(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    if (segment_->closed()) return;
    if (!buffer_.IsEmpty()) {
      // First make every view empty: an access after munmap would end the process.
      Napi::ArrayBuffer buffer = buffer_.Value();
      if (napi_detach_arraybuffer(info.Env(), buffer) != napi_ok)
        throw Failure("NATIVE", "the buffer of segment " + segment_->name() + " cannot be detached; it stays mapped");
      buffer_.Reset();
    }
    segment_->close();
  });
}

Napi::Function define_segment(Napi::Env env) {
  return SegmentObject::define(env);
}

Napi::Value call_segment_create(const Napi::CallbackInfo& info) {
  const Reader read("segmentCreate");
  const Napi::Object options = read.object(info[0], "options");
  const std::string name = read.text(options.Get("name"), "name");
  const double size = read.whole(options.Get("size"), "size", 1, kMostBytes);
  const bool lock = read.boolean(options.Get("lock"), "lock");
  const Registrar registrar = registrar_of(read.text(options.Get("register"), "register"));
  return SegmentObject::wrap(info.Env(), Segment::create(name, static_cast<std::uint64_t>(size), lock, registrar));
}

Napi::Value call_segment_open(const Napi::CallbackInfo& info) {
  const Reader read("segmentOpen");
  const int fd = read.fd(info[0], "fd");
  return SegmentObject::wrap(info.Env(), Segment::open(fd, read.text(info[1], "name")));
}

Napi::Value call_memlock_limit(const Napi::CallbackInfo& info) {
  const MemlockLimit limit = memlock_limit();
  Napi::Object value = Napi::Object::New(info.Env());
  value["softBytes"] = number_or_null(info.Env(), limit.soft);
  value["hardBytes"] = number_or_null(info.Env(), limit.hard);
  return value;
}

}  // namespace twinkle
