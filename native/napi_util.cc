#include "napi_util.h"

#include <cmath>

namespace twinkle {
namespace {

std::string shown(const Napi::Value& value) {
  if (value.IsString()) return "\"" + value.As<Napi::String>().Utf8Value().substr(0, 100) + "\"";
  if (value.IsFunction()) return "a function";
  if (value.IsArray()) return "an array";
  if (value.IsObject()) return "an object";
  return value.ToString().Utf8Value();
}

}  // namespace

Napi::Error to_error(Napi::Env env, const Failure& failure) {
  const Napi::Error error = Napi::Error::New(env, failure.what());
  Napi::Object value = error.Value();
  const bool from_call = failure.error() != 0;
  value["code"] = Napi::String::New(env, failure.code());
  value["errno"] = from_call ? Napi::Value(Napi::Number::New(env, failure.error())) : env.Null();
  value["errnoName"] = from_call ? Napi::Value(Napi::String::New(env, errno_name(failure.error()))) : env.Null();
  value["syscall"] = from_call ? Napi::Value(Napi::String::New(env, failure.call())) : env.Null();
  Napi::Object details = Napi::Object::New(env);
  for (const auto& [key, number] : failure.facts()) details[key] = Napi::Number::New(env, number);
  value["details"] = details;
  return error;
}

void Reader::refuse(const char* expected, const char* name, const Napi::Value& value) const {
  fail_argument(call_, std::string("expected ") + expected + " for `" + name + "` but received " + shown(value));
}

double Reader::whole(const Napi::Value& value, const char* name, double least, double most) const {
  if (!value.IsNumber()) refuse("a whole number", name, value);
  const double number = value.As<Napi::Number>().DoubleValue();
  // NaN fails every comparison: the test must be for what is right.
  if (!(number >= least && number <= most && std::floor(number) == number)) {
    const std::string range = "a whole number from " + Napi::Number::New(value.Env(), least).ToString().Utf8Value() +
                              " to " + Napi::Number::New(value.Env(), most).ToString().Utf8Value();
    refuse(range.c_str(), name, value);
  }
  return number;
}

bool Reader::boolean(const Napi::Value& value, const char* name) const {
  if (!value.IsBoolean()) refuse("true or false", name, value);
  return value.As<Napi::Boolean>().Value();
}

std::string Reader::text(const Napi::Value& value, const char* name) const {
  if (!value.IsString()) refuse("a string", name, value);
  std::string text = value.As<Napi::String>().Utf8Value();
  if (text.find('\0') != std::string::npos) refuse("a string without zero bytes", name, value);
  return text;
}

Napi::Object Reader::object(const Napi::Value& value, const char* name) const {
  if (!value.IsObject() || value.IsFunction()) refuse("an object", name, value);
  return value.As<Napi::Object>();
}

std::vector<Napi::Value> Reader::list(const Napi::Value& value, const char* name) const {
  if (!value.IsArray()) refuse("an array", name, value);
  const auto array = value.As<Napi::Array>();
  std::vector<Napi::Value> items;
  for (std::uint32_t i = 0; i < array.Length(); i++) items.push_back(array.Get(i));
  return items;
}

std::vector<std::string> Reader::texts(const Napi::Value& value, const char* name) const {
  std::vector<std::string> items;
  for (const Napi::Value& item : list(value, name)) items.push_back(text(item, name));
  return items;
}

std::vector<int> Reader::integers(const Napi::Value& value, const char* name, int least, int most) const {
  std::vector<int> items;
  for (const Napi::Value& item : list(value, name)) items.push_back(integer(item, name, least, most));
  return items;
}

Napi::Value text_or_null(Napi::Env env, const std::optional<std::string>& value) {
  return value ? Napi::Value(Napi::String::New(env, *value)) : env.Null();
}

Napi::Array numbers(Napi::Env env, const std::vector<int>& values) {
  Napi::Array array = Napi::Array::New(env, values.size());
  for (std::size_t i = 0; i < values.size(); i++)
    array[static_cast<std::uint32_t>(i)] = Napi::Number::New(env, values[i]);
  return array;
}

}  // namespace twinkle
