// `ps`: the container's processes by their numbers on the host.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <set>

#include "base/text.h"
#include "ocicli/command.h"
#include "ocicli/container_dir.h"
#include "runtime/bundle.h"
#include "sys/process.h"

namespace wherry::ocicli {
namespace {

constexpr size_t kOutputLimit = size_t{16} << 20;

constexpr std::array kPsFlags{
    Flag{"format", 'f', FlagKind::kString, "table or json", "table"},
};

std::string json_list(const std::vector<pid_t>& pids) {
  std::string text = "[";
  for (pid_t pid : pids) text += (text.size() > 1 ? "," : "") + std::to_string(pid);
  return text + "]\n";
}

Result<std::string> find_ps() {
  const char* path = getenv("PATH");
  for (std::string_view folder : split(path != nullptr ? path : "/usr/bin:/bin", ':')) {
    std::string candidate = std::string(folder) + "/ps";
    if (candidate.starts_with('/') && access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return Error(ErrorKind::kNotFound, "exec: \"ps\": executable file not found in $PATH")
      .set_hint("--format json needs no ps");
}

Result<std::string> host_ps(std::vector<std::string> arguments) {
  sys::SpawnOptions options;
  TRY(options.program, find_ps());
  if (arguments.empty()) arguments = {"-ef"};
  options.arguments = {"ps"};
  options.arguments.insert(options.arguments.end(), arguments.begin(), arguments.end());
  for (char** entry = environ; *entry != nullptr; ++entry) options.environment.emplace_back(*entry);
  TRY_CTX(sys::Finished done, sys::run_program(options, kOutputLimit), "cannot run ps");
  if (done.code != 0)
    return Error(ErrorKind::kInternal,
                 "ps exited with " + std::to_string(done.code) + ": " +
                     std::string(trim(done.err.empty() ? done.out : done.err)));
  return done.out;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (std::string_view word : split(line, ' '))
    if (!word.empty()) words.push_back(word);
  return words;
}

// The title and the lines whose PID column holds one of ours.
Result<std::string> only_ours(std::string_view output, const std::vector<pid_t>& pids) {
  std::vector<std::string_view> lines = split(output, '\n');
  std::vector<std::string_view> titles = words_of(lines.front());
  auto column = static_cast<size_t>(std::ranges::find(titles, "PID") - titles.begin());
  if (column == titles.size())
    return Error(ErrorKind::kInvalidArgument, "couldn't find PID field in ps output")
        .set_hint("choose ps options that print it");
  std::set<std::string, std::less<>> ours;
  for (pid_t pid : pids) ours.insert(std::to_string(pid));
  std::string text = std::string(lines.front()) + "\n";
  for (std::string_view line : std::span(lines).subspan(1)) {
    std::vector<std::string_view> words = words_of(line);
    if (column < words.size() && ours.contains(words[column])) text += std::string(line) + "\n";
  }
  return text;
}

Result<int> run_ps(Call& call) {
  std::string format = call.flags.text("format");
  if (format != "table" && format != "json")
    return Error(ErrorKind::kInvalidArgument, "invalid format option '" + format + "'")
        .set_hint("use table or json");
  TRY(ContainerDir dir, ContainerDir::open(call.globals.root, call.id()));
  TRY(Record record, dir.read());
  TRY_VOID(need_cgroup(record));
  TRY(std::vector<pid_t> pids, runtime::cgroup_processes_of(record.cgroup));
  if (format == "json") return print(json_list(pids));
  std::vector<std::string> arguments(call.arguments().begin() + 1, call.arguments().end());
  TRY(std::string output, host_ps(std::move(arguments)));
  TRY(std::string text, only_ours(output, pids));
  return print(text);
}

}  // namespace

const CommandSpec kPs = {
    .name = "ps",
    .usage = "[OPTIONS] CONTAINER [PS-OPTIONS]",
    .summary = "List the container's processes",
    .table = {.flags = kPsFlags, .refused = {}, .interspersed = false},
    .min_arguments = 1,
    .max_arguments = -1,
    .run = run_ps,
};

}  // namespace wherry::ocicli
