// The table of all commands.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/build_commands.h"
#include "cli/command.h"
#include "cli/container_commands.h"
#include "cli/exit_code.h"
#include "cli/image_commands.h"
#include "cli/output.h"
#include "cli/registry_commands.h"
#include "cli/run_request.h"
#include "cli/store_commands.h"
#include "cli/volume_commands.h"

namespace wherry::cli {
namespace {

constexpr int kAny = -1;
constexpr const char* kContainers = "[OPTIONS] CONTAINER [CONTAINER...]";

constexpr CommandSpec kCommands[] = {
    {"run|container run", "[OPTIONS] IMAGE [COMMAND] [ARG...]",
     "Make a container from an image and run it", &kRunFlags, 1, kAny, run_container, kUsageExit},
    {"create|container create", "[OPTIONS] IMAGE [COMMAND] [ARG...]",
     "Make a container without starting it", &kCreateFlags, 1, kAny, create_container, kUsageExit},
    {"start|container start", kContainers, "Start stopped containers", &kStartFlags, 1, kAny,
     start_containers},
    {"stop|container stop", kContainers, "Ask running containers to end, then kill them",
     &kStopFlags, 1, kAny, stop_containers},
    {"restart|container restart", kContainers, "Stop containers and start them again", &kStopFlags,
     1, kAny, restart_containers},
    {"kill|container kill", kContainers, "Send a signal to running containers", &kKillFlags, 1,
     kAny, kill_containers},
    {"rm|container rm|container remove", kContainers, "Remove containers", &kRemoveFlags, 1, kAny,
     remove_containers},
    {"pause|container pause", "CONTAINER [CONTAINER...]", "Freeze all processes of containers",
     &kNoFlags, 1, kAny, pause_containers},
    {"unpause|container unpause", "CONTAINER [CONTAINER...]",
     "Let the processes of paused containers go on", &kNoFlags, 1, kAny, unpause_containers},
    {"commit|container commit", "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
     "Make an image from what a container has changed", &kCommitFlags, 1, 2, commit_container},
    {"rename|container rename", "CONTAINER NEW_NAME", "Give a container another name", &kNoFlags, 2,
     2, rename_container},
    {"container prune", "[OPTIONS]", "Remove all containers that do not run", &kContainerPruneFlags,
     0, 0, prune_containers},
    {"ps|container ls|container list|container ps", "[OPTIONS]", "List containers", &kListFlags, 0,
     0, list_containers},
    {"logs|container logs", "[OPTIONS] CONTAINER", "Show what a container has written", &kLogsFlags,
     1, 1, show_logs},
    {"exec|container exec", "[OPTIONS] CONTAINER COMMAND [ARG...]",
     "Run a command in a running container", &kExecFlags, 2, kAny, exec_in_container},
    {"attach|container attach", "[OPTIONS] CONTAINER", "Connect to a running container's streams",
     &kAttachFlags, 1, 1, attach_container},
    {"wait|container wait", "CONTAINER [CONTAINER...]",
     "Wait for containers to end, print exit codes", &kNoFlags, 1, kAny, wait_for_containers},
    {"inspect", "[OPTIONS] NAME|ID [NAME|ID...]",
     "Show all there is to know about containers or images", &kInspectFlags, 1, kAny, inspect_any},
    {"container inspect", kContainers, "Show all there is to know about containers",
     &kInspectOneFlags, 1, kAny, inspect_containers},
    {"build|image build|builder build|buildx build", "[OPTIONS] DIR | -",
     "Build an image from a Dockerfile", &kBuildFlags, 1, 1, build_image},
    {"builder prune|buildx prune", "[OPTIONS]", "Remove what builds keep for the next time",
     &kBuilderPruneFlags, 0, 0, prune_build_cache},
    {"images|image ls|image list", "[OPTIONS] [REPOSITORY[:TAG]]", "List images", &kImagesFlags, 0,
     1, list_images},
    {"tag|image tag", "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", "Give an image another name",
     &kNoFlags, 2, 2, tag_image},
    {"rmi|image rm|image remove", "[OPTIONS] IMAGE [IMAGE...]", "Remove images", &kRemoveImageFlags,
     1, kAny, remove_images},
    {"history|image history", "[OPTIONS] IMAGE", "Show the steps an image was made by",
     &kHistoryFlags, 1, 1, show_history},
    {"image inspect", "[OPTIONS] IMAGE [IMAGE...]", "Show all there is to know about images",
     &kInspectOneFlags, 1, kAny, inspect_images},
    {"import|image import", "[OPTIONS] FILE|URL|- [REPOSITORY[:TAG]]",
     "Make an image from a tar of a root file system", &kImportFlags, 1, 2, import_image},
    {"bootstrap|image bootstrap", "[OPTIONS] DISTRIBUTION:RELEASE",
     "Make a base image from the distribution's signed packages", &kBootstrapFlags, 1, 1,
     bootstrap_image},
    {"pull|image pull", "[OPTIONS] NAME[:TAG|@DIGEST]", "Fetch an image from a registry",
     &kPullFlags, 1, 1, pull_images},
    {"push|image push", "[OPTIONS] NAME[:TAG]", "Send an image to a registry", &kPushFlags, 1, 1,
     push_images},
    {"login", "[OPTIONS] [SERVER]", "Log in to a registry", &kLoginFlags, 0, 1, log_in},
    {"logout", "[SERVER]", "Forget the credentials of a registry", &kNoFlags, 0, 1, log_out},
    {"save|image save", "[OPTIONS] IMAGE [IMAGE...]",
     "Write images to one archive, on standard output as a rule", &kSaveFlags, 1, kAny,
     save_images},
    {"load|image load", "[OPTIONS]", "Read images from an archive, from standard input as a rule",
     &kLoadFlags, 0, 0, load_images},
    {"image prune", "[OPTIONS]", "Remove images without a name that no container uses",
     &kImagePruneFlags, 0, 0, prune_images},
    {"diff", "[OPTIONS] CONTAINER | IMAGE IMAGE",
     "Show what a container has changed, or what is different in two images", &kDiffFlags, 1, 2,
     show_differences},
    {"container diff", "[OPTIONS] CONTAINER",
     "Show what a container has changed in its image's files", &kDiffFlags, 1, 1, show_changes},
    {"image diff", "[OPTIONS] IMAGE IMAGE", "Show what is different in two images", &kDiffFlags, 2,
     2, show_differences},
    {"image tree", "[OPTIONS] IMAGE [PATH]", "Show the files of an image and its tree's digest",
     &kTreeFlags, 1, 2, show_image_tree},
    {"du|image du", "[OPTIONS] [IMAGE...]", "Show what images cost alone, and what they share",
     &kDuFlags, 0, kAny, show_usage},
    {"fsck|system fsck", "[OPTIONS]", "Check everything that the store holds", &kFsckFlags, 0, 0,
     check_store},
    {"gc|system gc", "[OPTIONS]", "Free what nobody needs", &kGcFlags, 0, 0, collect_garbage},
    {"volume create", "[OPTIONS] [VOLUME]", "Make a volume", &kVolumeCreateFlags, 0, 1,
     create_volume},
    {"volume ls|volume list", "[OPTIONS]", "List volumes", &kVolumeListFlags, 0, 0, list_volumes},
    {"volume inspect", "[OPTIONS] VOLUME [VOLUME...]", "Show all there is to know about volumes",
     &kVolumeInspectFlags, 1, kAny, inspect_volumes},
    {"volume rm|volume remove", "[OPTIONS] VOLUME [VOLUME...]",
     "Remove volumes that no container uses", &kVolumeRemoveFlags, 1, kAny, remove_volumes},
    {"volume prune", "[OPTIONS]", "Remove the anonymous volumes that no container uses",
     &kVolumePruneFlags, 0, 0, prune_volumes},
    {"version", "[OPTIONS]", "Show the version", &kFormatFlags, 0, 0, show_version},
    {"info|system info", "[OPTIONS]", "Show the engine's state and what the machine offers",
     &kFormatFlags, 0, 0, show_info},
    {"system prune", "[OPTIONS]", "Remove what is not in use: containers, images, build cache",
     &kSystemPruneFlags, 0, 0, prune_system},
    {"config check", "[FILE]", "Check the configuration files, or one", &kNoFlags, 0, 1,
     check_config},
    {"config show", "", "Show the configuration in effect", &kNoFlags, 0, 0, show_config},
    {"__settle", "ID", "Record the end of a container (for monitors)", &kNoFlags, 1, 1,
     settle_container, 1, true},
    {"__man", "", "Print the manual page", &kNoFlags, 0, 0, print_manual_page, 1, true},
    {"__complete", "WORD...", "Print completions", &kNoFlags, 0, kAny, complete_words, 1, true},
};

constexpr std::string_view kGroups[] = {"container", "image",  "builder", "buildx",
                                        "volume",    "system", "config"};

// Commands of Docker that are not there yet: named, so that nobody looks for a typing error.
constexpr std::string_view kLaterCommands[] = {
    "compose", "context", "cp",      "events", "export", "manifest",  "network",
    "plugin",  "port",    "search",  "stats",  "swarm",  "top",       "trust",
    "update",  "node",    "service", "stack",  "secret", "checkpoint"};

bool name_matches(std::string_view name, std::span<const std::string> words, size_t& count) {
  std::vector<std::string_view> parts = split(name, ' ');
  if (parts.size() > words.size()) return false;
  count = parts.size();
  return std::ranges::equal(parts, words.first(parts.size()));
}

}  // namespace

std::span<const CommandSpec> all_commands() {
  return kCommands;
}
std::span<const std::string_view> all_groups() {
  return kGroups;
}

std::string_view group_summary(std::string_view group) {
  if (group == "container") return "Commands on containers";
  if (group == "image") return "Commands on images";
  if (group == "builder") return "Commands on builds";
  if (group == "buildx") return "Commands on builds, by their other name";
  if (group == "volume") return "Commands on volumes";
  if (group == "system") return "Commands on the engine";
  if (group == "config") return "Commands on the configuration";
  return {};
}

FoundCommand find_command(std::span<const std::string> words) {
  for (const CommandSpec& command : kCommands) {
    std::string_view names = command.names;
    for (;;) {
      auto [name, rest] = split_once(names, '|');
      size_t count = 0;
      if (name_matches(name, words, count)) return {&command, count};
      if (!rest) break;
      names = *rest;
    }
  }
  return {};
}

Error unknown_command(std::span<const std::string> words) {
  bool grouped = words.size() > 1 && !group_summary(words[0]).empty();
  std::string name = grouped ? words[0] + " " + words[1] : words[0];
  for (std::string_view later : kLaterCommands)
    if (!grouped && name == later)
      return Error(ErrorKind::kUnsupported, fmt::format("'{}' is not supported yet", name));
  Error error(ErrorKind::kInvalidArgument, fmt::format("unknown command: wherry {}", name));
  std::vector<std::string_view> names;
  for (const CommandSpec& command : kCommands)
    if (!command.hidden)
      for (std::string_view spelling : split(command.names, '|')) names.push_back(spelling);
  if (!grouped) names.insert(names.end(), std::begin(kGroups), std::end(kGroups));
  if (auto near = nearest(name, names)) error.set_hint(fmt::format("did you mean '{}'?", *near));
  return error;
}

Result<engine::Engine*> Context::engine() {
  if (engine_) return engine_.get();
  engine::LocalOptions options;
  options.root = config.data_root;
  options.run_root = config.run_root;
  options.log.driver = config.log_driver;
  if (!config.log_max_size.empty()) options.log.options["max-size"] = config.log_max_size;
  if (config.log_max_files != 1)
    options.log.options["max-file"] = std::to_string(config.log_max_files);
  options.default_publish_address = config.publish_address;
  options.registries = config.registries;
  options.max_downloads = config.max_downloads;
  options.max_uploads = config.max_uploads;
  options.storage_driver = config.storage_driver;
  options.max_layer_entries = config.max_layer_entries;
  options.docker_config = docker_config_path(environment_variable);
  options.search_path = environment_variable("PATH").value_or("");
  options.runs_next = runs_next;
  TRY(engine_, open_(options));
  return engine_.get();
}

void Context::warn(const std::vector<std::string>& warnings) const {
  if (config.log_level == LogLevel::kError) return;
  for (const std::string& warning : warnings) report_warning(warning);
}

}  // namespace wherry::cli
