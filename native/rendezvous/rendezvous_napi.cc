// Listening sockets, unique ids and routes for JavaScript.
#include "module.h"
#include "napi_util.h"
#include "rendezvous/listen.h"
#include "rendezvous/route.h"
#include "rendezvous/unique_id.h"

namespace twinkle {
namespace {

Napi::Value bytes(Napi::Env env, const std::vector<unsigned char>& data) {
  Napi::Uint8Array array = Napi::Uint8Array::New(env, data.size());
  std::copy(data.begin(), data.end(), array.Data());
  return array;
}

}  // namespace

Napi::Value call_listen_socket(const Napi::CallbackInfo& info) {
  const Reader read("listenSocket");
  const std::string host = read.text(info[0], "host");
  const int port = read.integer(info[1], "port", 0, 65535);
  const BoundSocket bound = listen_socket(host, port, read.integer(info[2], "backlog", 1, 65535));
  Napi::Object value = Napi::Object::New(info.Env());
  value["fd"] = Napi::Number::New(info.Env(), bound.fd);
  value["host"] = bound.host;
  value["port"] = Napi::Number::New(info.Env(), bound.port);
  return value;
}

Napi::Value call_nccl_unique_id(const Napi::CallbackInfo& info) {
  return bytes(info.Env(), nccl_unique_id());
}

Napi::Value call_hccl_root_info(const Napi::CallbackInfo& info) {
  return bytes(info.Env(), hccl_root_info(Reader("hcclRootInfo").integer(info[0], "device", 0, 65535)));
}

Napi::Value call_route_to(const Napi::CallbackInfo& info) {
  const Route route = route_to(Reader("routeTo").text(info[0], "host"));
  Napi::Object value = Napi::Object::New(info.Env());
  value["interface"] = route.interface;
  value["sourceAddress"] = route.source_address;
  return value;
}

}  // namespace twinkle
