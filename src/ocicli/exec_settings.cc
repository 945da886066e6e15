#include "ocicli/exec_settings.h"

#include <fcntl.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/text.h"
#include "ocicli/bundle_request.h"
#include "ocicli/lifecycle.h"
#include "sys/file.h"

namespace wherry::ocicli {
namespace {

constexpr const char* kFile = "exec";
constexpr size_t kLimit = size_t{4} << 20;
constexpr std::string_view kVersion = "wherry-exec-1";

// Of a section that notifies nothing is kept: its listener needs the whole configuration.
bool may_be_kept(const oci::RuntimeSpec& spec, const runtime::SpecFilter& filter) {
  return !spec.seccomp || (!filter.listener && !filter.key.empty());
}

// One line and a configuration: "wherry-exec-1 KEY FLAGS", KEY "-" without a filter.
std::string written(const oci::RuntimeSpec& spec, const runtime::SpecFilter& filter) {
  oci::RuntimeSpec kept;
  kept.oci_version = spec.oci_version;
  kept.process = spec.process;
  kept.personality = spec.personality;
  kept.memory_policy = spec.memory_policy;
  return std::string(kVersion) + " " + (filter.key.empty() ? "-" : filter.key) + " " +
         std::to_string(filter.flags) + "\n" + oci::to_json(kept);
}

std::optional<ExecSettings> parse(std::string_view text, const std::string& cache) {
  const auto [line, document] = split_once(text, '\n');
  const std::vector<std::string_view> words = split(line, ' ');
  if (!document || words.size() != 3 || words[0] != kVersion) return std::nullopt;
  std::optional<uint64_t> flags = parse_u64(words[2]);
  if (!flags || *flags > UINT32_MAX) return std::nullopt;
  ExecSettings settings;
  settings.filter.emplace();
  if (words[1] != "-") {
    std::optional<std::string> program = runtime::kept_filter_program(cache, words[1]);
    if (!program) return std::nullopt;
    settings.filter->program = std::move(*program);
    settings.filter->flags = static_cast<uint32_t>(*flags);
  }
  Result<oci::RuntimeSpec> spec = oci::parse_runtime_spec(*document);
  if (!spec) return std::nullopt;
  settings.spec = std::move(*spec);
  return settings;
}

std::optional<ExecSettings> read_kept(const ContainerDir& dir, const std::string& cache) {
  Result<sys::Fd> file = sys::open_at(dir.fd(), kFile, O_RDONLY | O_NOFOLLOW);
  if (!file) return std::nullopt;
  Result<std::string> text = sys::read_all(file->get(), kLimit);
  if (!text) return std::nullopt;
  return parse(*text, cache);
}

// Under the lock, for a delete must not meet a new file; nobody is waited for.
void keep(ContainerDir& dir, const std::string& text) {
  Result<bool> locked = dir.try_lock();
  if (!locked || !*locked) return;
  [[maybe_unused]] const Result<void> kept =
      dir.has_record() ? sys::write_file_atomic(dir.fd(), kFile, text, 0600, sys::Sync::kNone)
                       : Result<void>();
  dir.unlock();
}

}  // namespace

Result<ExecSettings> exec_settings(ContainerDir& dir, const Globals& globals) {
  TRY(std::string cache, seccomp_cache(globals));
  if (std::optional<ExecSettings> kept = read_kept(dir, cache)) return std::move(*kept);
  ExecSettings settings;
  TRY(settings.spec, kept_spec(dir));
  runtime::SpecFilter filter;
  if (settings.spec.seccomp) {
    TRY(filter, runtime::cached_spec_filter(*settings.spec.seccomp, cache));
  }
  if (!may_be_kept(settings.spec, filter)) return settings;
  keep(dir, written(settings.spec, filter));
  settings.filter = std::move(filter);
  return settings;
}

}  // namespace wherry::ocicli
