// The flag tables of run and create: Docker's names and types; what is not there yet is named.
#include <algorithm>
#include <array>

#include "cli/run_request.h"

namespace wherry::cli {
namespace {

constexpr auto kString = FlagKind::kString;
constexpr auto kBool = FlagKind::kBool;
constexpr auto kList = FlagKind::kList;

constexpr Flag kCommon[] = {
    {"attach", 'a', kList, "Attach to stdin, stdout or stderr; repeat for several"},
    {"cap-add", 0, kList, "Capabilities the container gets besides the default ones"},
    {"cap-drop", 0, kList, "Capabilities the container does not get; ALL for none"},
    {"cidfile", 0, kString, "Write the container's id to this new file"},
    {"cpus", 0, FlagKind::kDecimal, "CPU time, in whole processors: 1.5"},
    {"entrypoint", 0, kString, "Program to run instead of the image's entrypoint; \"\" for none"},
    {"env", 'e', kList, "Variable NAME=VALUE, or NAME to copy ours"},
    {"env-file", 0, kList, "File of variables, one a line"},
    {"expose", 0, kList, "Port or range that the container serves"},
    {"hostname", 'h', kString, "Host name inside the container"},
    {"interactive", 'i', kBool, "Keep stdin open"},
    {"label", 'l', kList, "Label KEY=VALUE"},
    {"label-file", 0, kList, "File of labels, one a line"},
    {"log-driver", 0, kString, "Where output is kept: json-file or none"},
    {"log-opt", 0, kList, "Limits of json-file: max-size=SIZE, max-file=NUMBER"},
    {"memory", 'm', FlagKind::kBytes, "Memory limit: 512m, 2g"},
    {"memory-swap", 0, FlagKind::kBytes, "Limit of memory and swap together; -1 for no limit"},
    {"name", 0, kString, "Name of the container"},
    {"network", 0, kString, "Network: bridge, none, host or container:NAME", "bridge", "net"},
    {"pids-limit", 0, FlagKind::kInt, "Most processes at once; -1 for no limit"},
    {"privileged", 0, kBool, "Drop the confinement: all capabilities and devices"},
    {"publish", 'p', kList, "Publish a port: [IP:][HOST:]CONTAINER[/PROTOCOL]"},
    {"platform", 0, kString, "Which image of a multi-platform one: OS[/ARCH[/VARIANT]]"},
    {"pull", 0, kString, "Pull the image first: always, missing or never", "missing"},
    {"quiet", 'q', kBool, "Say nothing about pulling"},
    {"read-only", 0, kBool, "Make the root file system read-only"},
    {"rm", 0, kBool, "Remove the container and its anonymous volumes when it exits"},
    {"shm-size", 0, FlagKind::kBytes, "Size of /dev/shm", "64m"},
    {"stop-signal", 0, kString, "Signal that asks the container to stop"},
    {"stop-timeout", 0, FlagKind::kInt, "Seconds from the stop signal to SIGKILL; -1 for ever"},
    {"tty", 't', kBool, "Give the container a terminal"},
    {"user", 'u', kString, "User to run as: NAME|UID[:GROUP|GID]"},
    {"volume", 'v', kList, "Mount: HOST-DIRECTORY:PATH[:OPTIONS], VOLUME:PATH, or PATH"},
    {"workdir", 'w', kString, "Working directory inside the container"},
};

constexpr Flag kRunOnly[] = {
    {"detach", 'd', kBool, "Run in the background and print the container's id"},
    {"detach-keys", 0, kString, "Keys that leave the container running", "ctrl-p,ctrl-q"},
    {"sig-proxy", 0, kBool, "Pass signals on to the container", "true"},
};

constexpr auto kAllRun = [] {
  std::array<Flag, std::size(kCommon) + std::size(kRunOnly)> all{};
  std::ranges::copy(kCommon, all.begin());
  std::ranges::copy(kRunOnly, all.begin() + std::size(kCommon));
  return all;
}();

constexpr RefusedFlag kLater[] = {
    {"add-host"},
    {"annotation"},
    {"blkio-weight"},
    {"blkio-weight-device"},
    {"cgroup-parent"},
    {"cgroupns"},
    {"cpu-count"},
    {"cpu-percent"},
    {"cpu-period"},
    {"cpu-quota"},
    {"cpu-rt-period"},
    {"cpu-rt-runtime"},
    {"cpu-shares", 'c'},
    {"cpuset-cpus"},
    {"cpuset-mems"},
    {"device"},
    {"device-cgroup-rule"},
    {"device-read-bps"},
    {"device-read-iops"},
    {"device-write-bps"},
    {"device-write-iops"},
    {"disable-content-trust"},
    {"dns"},
    {"dns-opt"},
    {"dns-option"},
    {"dns-search"},
    {"domainname"},
    {"gpus"},
    {"group-add"},
    {"health-cmd"},
    {"health-interval"},
    {"health-retries"},
    {"health-start-interval"},
    {"health-start-period"},
    {"health-timeout"},
    {"init"},
    {"io-maxbandwidth"},
    {"io-maxiops"},
    {"ip"},
    {"ip6"},
    {"ipc"},
    {"isolation"},
    {"kernel-memory"},
    {"link"},
    {"link-local-ip"},
    {"mac-address"},
    {"memory-reservation"},
    {"memory-swappiness"},
    {"mount"},
    {"network-alias"},
    {"net-alias"},
    {"no-healthcheck"},
    {"oom-kill-disable"},
    {"oom-score-adj"},
    {"pid"},
    {"publish-all", 'P'},
    {"restart"},
    {"runtime"},
    {"security-opt"},
    {"storage-opt"},
    {"sysctl"},
    {"tmpfs"},
    {"ulimit"},
    {"use-api-socket"},
    {"userns"},
    {"uts"},
    {"volume-driver"},
    {"volumes-from"},
};

}  // namespace

constexpr FlagTable kRunTable{kAllRun, kLater, false};
constexpr FlagTable kCreateTable{kCommon, kLater, false};
constinit const FlagTable kRunFlags = kRunTable;
constinit const FlagTable kCreateFlags = kCreateTable;

}  // namespace wherry::cli
