// version, info, config, and the hidden __man and __complete.
#include <fmt/format.h>
#include <sys/utsname.h>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "base/weaken.h"
#include "cli/image_commands.h"
#include "cli/output.h"
#include "cli/template.h"
#include "sys/fd.h"

namespace wherry::cli {
namespace {

constexpr Flag kFormat[] = {{"format", 'f', FlagKind::kString, "json, or a template"}};

// As Docker and image configurations call it.
#if defined(__aarch64__)
constexpr const char* kArch = "arm64";
#else
constexpr const char* kArch = "amd64";
#endif

Json version_document() {
  Json part = {{"Version", WHERRY_VERSION}, {"Os", "linux"}, {"Arch", kArch}};
  // One program is both: scripts ask for either.
  return {{"Client", part}, {"Server", part}};
}

Json info_document(const engine::Info& info, const Config& config) {
  Json document;
  document["Containers"] = info.containers;
  document["ContainersRunning"] = info.running;
  document["ContainersPaused"] = info.paused;
  document["ContainersStopped"] = info.stopped;
  document["Images"] = info.images;
  document["Driver"] = info.store_driver;
  document["LoggingDriver"] = config.log_driver;
  document["CgroupVersion"] = info.cgroup_version;
  document["SecurityOptions"] = info.security_options;
  document["KernelVersion"] = info.kernel;
  document["OperatingSystem"] = info.operating_system;
  document["OSType"] = "linux";
  document["Architecture"] = info.architecture;
  document["NCPU"] = info.cpus;
  document["MemTotal"] = info.memory;
  document["Name"] = info.hostname;
  document["DockerRootDir"] = info.root;
  document["RunRoot"] = info.run_root;
  document["Debug"] = config.log_level == LogLevel::kDebug;
  document["ServerVersion"] = WHERRY_VERSION;
  document["Swarm"] = {{"LocalNodeState", "inactive"}};
  document["Warnings"] = info.warnings;
  return document;
}

std::string info_text(const engine::Info& info, const Config& config) {
  std::string text;
  text += fmt::format("Version: {}\n", WHERRY_VERSION);
  text += fmt::format("Containers: {}\n Running: {}\n Paused: {}\n Stopped: {}\n", info.containers,
                      info.running, info.paused, info.stopped);
  text += fmt::format("Images: {}\n", info.images);
  text += fmt::format("Store: {}\n", info.store_driver);
  text +=
      fmt::format("Log driver: {}\nCgroup version: {}\n", config.log_driver, info.cgroup_version);
  text += fmt::format("Security options: {}\n", join(info.security_options, ", "));
  text += fmt::format("Kernel version: {}\nOperating system: {}\nArchitecture: {}\n", info.kernel,
                      info.operating_system, info.architecture);
  text += fmt::format("CPUs: {}\nTotal memory: {:.2f}GiB\nName: {}\n", info.cpus,
                      static_cast<double>(info.memory) / (1 << 30), info.hostname);
  text += fmt::format("Root: {}\nRun root: {}\n", info.root, info.run_root);
  return text;
}

Result<int> print_formatted(const Json& document, const std::string& format) {
  TRY(Template program, Template::parse(format == "json" ? "{{json .}}" : format));
  TRY(std::string text, program.render(document));
  TRY_VOID(print(text + "\n"));
  return 0;
}

}  // namespace

constinit const FlagTable kFormatFlags{kFormat};

Result<int> show_version(Invocation& call) {
  std::string format = call.flags.text("format");
  if (!format.empty()) return print_formatted(version_document(), format);
  utsname host{};
  uname(&host);
  TRY_VOID(print(fmt::format("wherry {}\n OS/Arch: linux/{}\n Kernel: {}\n", WHERRY_VERSION, kArch,
                             host.release) +
                 weakened_text()));
  return 0;
}

Result<int> show_info(Invocation& call) {
  TRY(engine::Engine * engine, call.context.engine());
  TRY(engine::Info info, engine->info());
  std::string format = call.flags.text("format");
  if (!format.empty()) return print_formatted(info_document(info, call.context.config), format);
  TRY_VOID(print(info_text(info, call.context.config)));
  call.context.warn(info.warnings);
  return 0;
}

Result<int> check_config(Invocation& call) {
  bool given = !call.arguments().empty();
  std::vector<std::string> files =
      config_files(given ? call.arguments()[0] : "", environment_variable);
  int code = 0;
  std::string text;
  for (const std::string& file : files) {
    Result<std::string> json = sys::read_file(file, kMaxConfigBytes);
    if (!json && !given && json.error().errnum() == ENOENT) {
      text += fmt::format("{}: not there, defaults apply\n", file);
      continue;
    }
    Config scratch;
    Result<void> applied =
        json ? apply_config(scratch, *json, file) : Result<void>(std::move(json.error()));
    if (applied) {
      text += fmt::format("{}: ok\n", file);
      continue;
    }
    report_error(applied.error());
    code = 1;
  }
  TRY_VOID(print(text));
  return code;
}

Result<int> show_config(Invocation& call) {
  TRY_VOID(print(config_json(call.context.config) + "\n"));
  return 0;
}

Result<int> print_manual_page(Invocation&) {
  TRY_VOID(print(manual_page()));
  return 0;
}

}  // namespace wherry::cli
