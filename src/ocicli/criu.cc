#include "ocicli/criu.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/text.h"
#include "sys/process.h"

namespace wherry::ocicli {
namespace {

constexpr size_t kOutputLimit = size_t{1} << 20;
constexpr size_t kLogLimit = size_t{64} << 20;
constexpr size_t kMostComplaints = 5;
constexpr std::string_view kMaskedFile = "wherry-masked-file";
constexpr std::string_view kMaskedDirectory = "wherry-masked-directory";

bool is_bind(const oci::Mount& mount) {
  return mount.type == "bind" || std::ranges::find(mount.options, "bind") != mount.options.end() ||
         std::ranges::find(mount.options, "rbind") != mount.options.end();
}

void add_external(std::vector<std::string>& words, std::string_view what, std::string_view as) {
  words.emplace_back("--external");
  words.push_back(fmt::format("mnt[{}]:{}", what, as));
}

void add_common(std::vector<std::string>& words, const CriuFlags& flags) {
  std::string cgroups = flags.manage_cgroups.empty() ? "soft" : flags.manage_cgroups;
  for (const char* word : {"-v4", "--images-dir"}) words.emplace_back(word);
  words.push_back(flags.image_path);
  words.emplace_back("--work-dir");
  words.push_back(flags.work_path);
  words.push_back("--manage-cgroups=" + cgroups);
  words.insert(words.end(), flags.switches.begin(), flags.switches.end());
}

Result<std::string> find_criu() {
  const char* path = getenv("PATH");
  for (std::string_view folder : split(path != nullptr ? path : "/usr/sbin:/usr/bin", ':')) {
    std::string candidate = std::string(folder) + "/criu";
    if (candidate.starts_with('/') && access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return Error(ErrorKind::kNotFound, "exec: \"criu\": executable file not found in $PATH")
      .set_hint("install CRIU to checkpoint and restore containers");
}

}  // namespace

std::vector<std::string> dump_words(const CriuFlags& flags, const oci::RuntimeSpec& spec,
                                    const MaskedPaths& masked, pid_t pid, bool pre_dump) {
  std::vector<std::string> words{pre_dump ? "pre-dump" : "dump", "--log-file", "dump.log", "--tree",
                                 std::to_string(pid)};
  add_common(words, flags);
  if (!flags.parent_path.empty()) {
    words.emplace_back("--prev-images-dir");
    words.push_back(flags.parent_path);
  }
  if (pre_dump || !flags.parent_path.empty()) words.emplace_back("--track-mem");
  for (const oci::Mount& mount : spec.mounts)
    if (is_bind(mount)) add_external(words, mount.destination, mount.destination);
  for (const std::string& path : masked.files) add_external(words, path, kMaskedFile);
  for (const std::string& path : masked.directories) add_external(words, path, kMaskedDirectory);
  return words;
}

std::vector<std::string> restore_words(const CriuFlags& flags, const oci::RuntimeSpec& spec,
                                       const std::string& root, const std::string& empty,
                                       const std::string& pid_file) {
  std::vector<std::string> words{"restore", "--log-file",         "restore.log", "--root",
                                 root,      "--restore-detached", "--pidfile",   pid_file};
  add_common(words, flags);
  for (const oci::Mount& mount : spec.mounts)
    if (is_bind(mount)) add_external(words, mount.destination, mount.source);
  add_external(words, kMaskedFile, "/dev/null");
  add_external(words, kMaskedDirectory, empty);
  return words;
}

std::string criu_complaints(std::string_view log, size_t limit) {
  std::string text;
  for (std::string_view line : split(log, '\n')) {
    // "(00.012345) Error (criu/x.c:12): what" or "Error (criu/x.c:12): what".
    size_t at = line.find("Error (");
    if (at == std::string_view::npos || limit == 0) continue;
    text.append(text.empty() ? "" : "; ").append(trim(line.substr(at)));
    --limit;
  }
  return text;
}

Result<void> run_criu(const std::vector<std::string>& words, const std::string& log_path) {
  sys::SpawnOptions options;
  TRY(options.program, find_criu());
  options.arguments = {"criu"};
  options.arguments.insert(options.arguments.end(), words.begin(), words.end());
  for (char** entry = environ; *entry != nullptr; ++entry) options.environment.emplace_back(*entry);
  TRY(sys::Finished done, sys::run_program(options, kOutputLimit));
  if (done.code == 0) return {};
  Result<std::string> log = sys::read_file(log_path, kLogLimit);
  std::string why = log ? criu_complaints(*log, kMostComplaints) : std::string();
  if (why.empty()) why = criu_complaints(done.err + done.out, kMostComplaints);
  if (why.empty()) why = trim(done.err.empty() ? done.out : done.err);
  return Error(ErrorKind::kUnsupported,
               "criu " + words.front() + " failed with " + std::to_string(done.code) + ": " + why)
      .set_hint("its log is '" + log_path + "'");
}

}  // namespace wherry::ocicli
