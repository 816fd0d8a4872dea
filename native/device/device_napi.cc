// devices() and cpu() for JavaScript.
#include "device/cpu.h"
#include "device/survey.h"
#include "module.h"
#include "napi_util.h"

namespace twinkle {
namespace {

template <typename Item, typename Convert>
Napi::Array array_of(Napi::Env env, const std::vector<Item>& items, Convert convert) {
  Napi::Array array = Napi::Array::New(env, items.size());
  for (std::size_t i = 0; i < items.size(); i++) array[static_cast<std::uint32_t>(i)] = convert(items[i]);
  return array;
}

Napi::Number number(Napi::Env env, std::uint64_t value) {
  return Napi::Number::New(env, static_cast<double>(value));
}

Napi::Object device(Napi::Env env, const DeviceInfo& info) {
  Napi::Object value = Napi::Object::New(env);
  value["kind"] = info.kind;
  value["vendor"] = info.vendor;
  value["index"] = Napi::Number::New(env, info.index);
  value["uuid"] = info.uuid;
  value["name"] = info.name;
  value["pciBusId"] = text_or_null(env, info.pci_bus_id);
  value["memoryTotalBytes"] = number(env, info.memory_total);
  value["memoryUsedBytes"] = number(env, info.memory_used);
  value["computeCapability"] = text_or_null(env, info.compute_capability);
  value["driverVersion"] = text_or_null(env, info.driver_version);
  value["numaNode"] = number_or_null(env, info.numa_node);
  value["health"] = info.health;
  value["processes"] = array_of(env, info.processes, [env](const DeviceProcess& process) {
    Napi::Object entry = Napi::Object::New(env);
    entry["pid"] = Napi::Number::New(env, process.pid);
    entry["memoryBytes"] = number_or_null(env, process.memory_bytes);
    return entry;
  });
  return value;
}

Napi::Object link(Napi::Env env, const DeviceLink& info) {
  Napi::Object value = Napi::Object::New(env);
  value["a"] = Napi::Number::New(env, info.a);
  value["b"] = Napi::Number::New(env, info.b);
  value["kind"] = info.kind;
  value["lanes"] = Napi::Number::New(env, info.lanes);
  return value;
}

Napi::Object library(Napi::Env env, const LibraryStatus& status) {
  Napi::Object value = Napi::Object::New(env);
  value["library"] = status.library;
  value["loaded"] = Napi::Boolean::New(env, status.loaded);
  value["path"] = text_or_null(env, status.path);
  value["reason"] = text_or_null(env, status.reason);
  return value;
}

}  // namespace

Napi::Value call_devices(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const DeviceReport report = survey();
  Napi::Object value = Napi::Object::New(env);
  value["devices"] = array_of(env, report.devices, [env](const DeviceInfo& item) { return device(env, item); });
  value["links"] = array_of(env, report.links, [env](const DeviceLink& item) { return link(env, item); });
  value["libraries"] = array_of(env, report.libraries, [env](const LibraryStatus& item) { return library(env, item); });
  return value;
}

Napi::Value call_cpu(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const CpuInfo cpu = read_cpu("", allowed_cpus());
  Napi::Object value = Napi::Object::New(env);
  value["model"] = cpu.model;
  value["sockets"] = Napi::Number::New(env, cpu.sockets);
  value["physicalCores"] = Napi::Number::New(env, cpu.physical_cores);
  value["logicalCores"] = Napi::Number::New(env, cpu.logical_cores);
  value["allowed"] = numbers(env, cpu.allowed);
  value["numa"] = array_of(env, cpu.numa, [env](const NumaNode& node) {
    Napi::Object entry = Napi::Object::New(env);
    entry["node"] = Napi::Number::New(env, node.node);
    entry["cpus"] = numbers(env, node.cpus);
    entry["memoryBytes"] = number(env, node.memory_bytes);
    return entry;
  });
  value["flags"] = array_of(env, cpu.flags, [env](const std::string& flag) { return Napi::String::New(env, flag); });
  value["memoryTotalBytes"] = number(env, cpu.memory.total);
  value["memoryAvailableBytes"] = number(env, cpu.memory.available);
  value["cgroupMemoryBytes"] = number_or_null(env, cpu.cgroup_memory_bytes);
  value["cgroupCpus"] = number_or_null(env, cpu.cgroup_cpus);
  return value;
}

}  // namespace twinkle
