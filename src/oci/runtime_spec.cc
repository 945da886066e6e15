#include "oci/runtime_spec.h"

#include <algorithm>
#include <set>

#include "base/packed.h"
#include "base/text.h"
#include "oci/runtime_spec_fields.h"

namespace wherry::oci {
namespace {

using nlohmann::json;

Error invalid(std::string_view what, std::string_view object, std::string_view why) {
  return Error(ErrorKind::kInvalidArgument,
               fmt::format("invalid runtime configuration: {} '{}' {}", what, object, why));
}

// 1.0.x to 1.3.x; a pre-release or build suffix is of no importance.
Result<void> check_version(const std::string& version) {
  const auto parts = split(version, '.');
  const auto minor = parts.size() == 3 ? parse_u64(parts[1]) : std::nullopt;
  if (!minor || parts[0] != "1" || *minor > 3) {
    return invalid("ociVersion", version, "is not between 1.0.0 and 1.3.x");
  }
  return {};
}

Result<void> check_namespaces(const std::vector<Namespace>& namespaces) {
  static constexpr std::string_view kTypes[] = {"pid", "network", "mount",  "ipc",
                                                "uts", "user",    "cgroup", "time"};
  std::set<std::string_view> seen;
  for (const Namespace& space : namespaces) {
    if (std::find(std::begin(kTypes), std::end(kTypes), space.type) == std::end(kTypes)) {
      return invalid("namespace", space.type, "is unknown");
    }
    if (!seen.insert(space.type).second) return invalid("namespace", space.type, "is given twice");
    if (!space.path.empty() && space.path[0] != '/') {
      return invalid("namespace path", space.path, "is not absolute");
    }
  }
  return {};
}

Result<void> check_rules(std::vector<DeviceRule>& rules) {
  for (DeviceRule& rule : rules) {
    if (std::string_view("abc").find(rule.type) == std::string_view::npos) {
      return invalid("the type of a device rule", std::string(1, rule.type), "is not a, b or c");
    }
    if (rule.access.empty() || rule.access.find_first_not_of("rwm") != std::string::npos) {
      return invalid("the access of a device rule", rule.access, "is not made of r, w and m");
    }
    // Engines write -1 for "any".
    if (rule.major == -1) rule.major.reset();
    if (rule.minor == -1) rule.minor.reset();
  }
  return {};
}

Result<void> check_devices(RuntimeSpec& spec) {
  for (const Device& device : spec.devices) {
    if (std::string_view("cbup").find(device.type) == std::string_view::npos) {
      return invalid("the type of device", device.path, "is not c, b, u or p");
    }
    if (device.path.empty() || device.path[0] != '/') {
      return invalid("the path of device", device.path, "is not absolute");
    }
  }
  return check_rules(spec.resources.devices);
}

Result<void> check_process(const Process& process) {
  if (process.cwd.empty() || process.cwd[0] != '/') {
    return invalid("process.cwd", process.cwd, "is not absolute");
  }
  for (const std::string& entry : process.env) {
    if (entry.find('=') == std::string::npos || entry[0] == '=') {
      return invalid("the environment entry", entry, "is not NAME=value");
    }
  }
  for (const Rlimit& rlimit : process.rlimits) {
    if (!rlimit.type.starts_with("RLIMIT_")) return invalid("rlimit", rlimit.type, "is unknown");
    if (rlimit.soft > rlimit.hard) return invalid("rlimit", rlimit.type, "is soft above hard");
  }
  return {};
}

Result<void> check_hooks(const char* kind, const std::vector<Hook>& hooks) {
  for (const Hook& hook : hooks) {
    if (!hook.path.starts_with('/')) {
      return invalid(fmt::format("the path of a {} hook", kind), hook.path, "is not absolute");
    }
    if (hook.timeout && *hook.timeout <= 0) {
      return invalid(fmt::format("the timeout of the {} hook", kind), hook.path, "is not above 0");
    }
  }
  return {};
}

Result<void> check_all_hooks(const Hooks& hooks) {
  TRY_VOID(check_hooks("prestart", hooks.prestart));
  TRY_VOID(check_hooks("createRuntime", hooks.create_runtime));
  TRY_VOID(check_hooks("createContainer", hooks.create_container));
  TRY_VOID(check_hooks("startContainer", hooks.start_container));
  TRY_VOID(check_hooks("poststart", hooks.poststart));
  return check_hooks("poststop", hooks.poststop);
}

Result<void> check(RuntimeSpec& spec) {
  TRY_VOID(check_version(spec.oci_version));
  TRY_VOID(check_namespaces(spec.namespaces));
  TRY_VOID(check_devices(spec));
  TRY_VOID(check_process(spec.process));
  TRY_VOID(check_all_hooks(spec.hooks));
  for (const Mount& mount : spec.mounts) {
    if (mount.destination.empty()) return invalid("mount destination", "", "is missing");
  }
  return {};
}

// Fills `target` from a document and says what is wrong with it.
template <typename T>
Result<void> read_document(const json& document, T& target) {
  std::optional<Error> error;
  Reader reader(document, "", error);
  if (!error) fields(reader, target);
  if (error) return std::move(*error);
  return {};
}

template <typename T>
Writer writer_of(const T& value) {
  Writer writer;
  fields(writer, value);
  return writer;
}

Result<RuntimeSpec> read_spec(const json& document) {
  RuntimeSpec spec;
  spec.oci_version.clear();
  TRY_VOID(read_document(document, spec));
  TRY_VOID(check(spec));
  return spec;
}

}  // namespace

Result<RuntimeSpec> parse_runtime_spec(std::string_view text) {
  TRY(const json document, parse_bounded(text, "runtime configuration"));
  return read_spec(document);
}

Result<RuntimeSpec> unpack_runtime_spec(std::string_view bytes) {
  RuntimeSpec spec;
  Unpacker unpacker(bytes);
  fields(unpacker, spec);
  TRY_VOID(unpacker.finish());
  TRY_VOID(check(spec));
  return spec;
}

Result<Process> parse_process(std::string_view text) {
  TRY(const json document, parse_bounded(text, "process"));
  Process process;
  TRY_VOID(read_document(document, process));
  TRY_VOID(check_process(process));
  return process;
}

Result<Resources> parse_resources(std::string_view text) {
  TRY(const json document, parse_bounded(text, "resources"));
  Resources resources;
  TRY_VOID(read_document(document, resources));
  TRY_VOID(check_rules(resources.devices));
  return resources;
}

std::string to_json(const RuntimeSpec& spec) {
  return writer_of(spec).text();
}

std::string pack(const RuntimeSpec& spec) {
  Packer packer;
  fields(packer, spec);
  return packer.take();
}

std::string to_json(const Process& process) {
  return writer_of(process).text();
}

std::string to_json(const Seccomp& seccomp) {
  return writer_of(seccomp).text();
}

std::string to_json(const Resources& resources) {
  return writer_of(resources).text();
}

}  // namespace wherry::oci
