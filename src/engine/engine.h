// The product as an interface: what a front end can ask for. LocalEngine does the work in this
// process; a remote one (over the Engine API) comes later and front ends will not notice.
//
// Names: `name` parameters take a container's full id, name or unique id prefix. Errors are
// Docker's words where scripts match them. Methods that change something are durable when they
// return, but for run --rm. Thread rule: one thread per engine object; any number of processes at
// once.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/record.h"
#include "engine/volume_record.h"
#include "oci/reference.h"
#include "store/store.h"
#include "transfer/image_transfer.h"

namespace wherry::engine {

struct CreateRequest {
  std::string name;        // empty: a random one
  ContainerConfig config;  // as the user gave it; merged with the image's here
  HostConfig host_config;
};

// One attached client: of a container's init or of an exec session. Poll fd(); next() gives events.
class Session {
 public:
  struct Event {
    enum class Kind { kOutput, kExited, kClosed } kind = Kind::kClosed;
    int stream = 1;     // kOutput: 1 stdout, 2 stderr
    std::string data;   // kOutput
    int exit_code = 0;  // kExited
  };
  virtual ~Session() = default;
  virtual int fd() const = 0;
  virtual bool has_pending() const = 0;  // next() will not block although fd() may not be readable
  virtual Result<Event> next() = 0;
  virtual Result<void> write_input(std::string_view data) = 0;
  virtual Result<void> close_input() = 0;
  virtual Result<void> resize(uint16_t rows, uint16_t columns) = 0;
  virtual Result<void> signal(int number) = 0;
};

struct AttachStreams {
  bool in = false;
  bool out = true;
  bool err = true;
};

struct ExecRequest {
  bool tty = false;
  bool interactive = false;
  bool detach = false;
  std::string user;
  std::string working_dir;
  std::vector<std::string> env;
  bool privileged = false;
  std::vector<std::string> cmd;
  uint16_t rows = 0, columns = 0;
};

struct ContainerFilter {
  bool all = false;
  int last = -1;  // -n
  // --filter: same key repeated = or, different keys = and. Keys: id name label status exited
  // ancestor before since volume network publish expose
  std::vector<std::pair<std::string, std::string>> filters;
};

struct BootstrapRequest {
  std::string distribution;  // "debian:bookworm"
  std::string variant = "minbase";
  std::vector<std::string> include;
  std::string mirror;  // empty: the host's apt sources on Debian, else mmdebstrap's default
  std::string tag;     // empty: the distribution's own name
  std::function<void(std::string_view)> progress;  // lines of mmdebstrap
};

struct ImportRequest {
  int tar_fd = -1;
  std::string source;  // for the history: "-", path or URL
  std::optional<oci::ImageRef> reference;
  std::vector<std::string> changes;
  std::string message;
};

struct CommitRequest {
  std::string container;
  std::optional<oci::ImageRef> reference;
  std::vector<std::string> changes;  // oci::apply_change, in order
  std::string author, message;
  bool pause = true;  // freezes a running container while its files are copied
};

struct PullRequest {
  std::string name;      // "debian", "host:5000/team/app:1", "name@sha256:..."
  std::string platform;  // "os/arch[/variant]"; empty: this machine's
  transfer::OnProgress progress;
};

struct PushRequest {
  std::string name;  // of an image here, "host:5000/team/app:1"; no digest
  bool recompress = false;
  transfer::OnProgress progress;
};

struct LoginRequest {
  std::string server;    // "host:5000"; empty: Docker Hub
  std::string username;  // empty: the credentials that are kept are tried
  std::string password;
};

struct SaveRequest {
  std::vector<std::string> names;  // images; a repository without a tag: all of its tags
  int out_fd = -1;
};

struct LoadRequest {
  int archive_fd = -1;   // a tar, plain or compressed, or the directory of an OCI layout
  std::string source;    // for errors: a path; may be empty
  std::string platform;  // "os/arch[/variant]"; empty: this machine's
};

struct VolumeRequest {
  std::string name;  // empty: a random one, and the volume is anonymous
  std::map<std::string, std::string> labels;
};

struct Info {
  int containers = 0, running = 0, paused = 0, stopped = 0, images = 0;
  std::string root, run_root, kernel, operating_system, architecture, hostname, cgroup_version;
  std::string store_driver;
  int cpus = 0;
  uint64_t memory = 0;
  std::vector<std::string> security_options;
  std::vector<std::string> warnings;
};

class BuildHost;

class Engine {
 public:
  virtual ~Engine() = default;

  // What list and prune commands take and what prune commands give back.
  using Filters = std::vector<std::pair<std::string, std::string>>;
  struct Pruned {
    std::vector<std::string> names;
    uint64_t bytes = 0;
  };

  // --- containers
  // Records a container in state "created". The image must be there (kNotFound otherwise).
  // Warnings (e.g. a clamped limit) are for stderr.
  struct Created {
    std::string id;
    std::vector<std::string> warnings;
  };
  virtual Result<Created> create(const CreateRequest& request) = 0;
  // create + start in as few syncs as may be. With `attach`, the session is attached before the
  // start so that no byte is lost, and this process settles at the end. rows/columns: the
  // terminal's size.
  struct RunResult {
    std::string id;
    std::unique_ptr<Session> session;  // empty when detached
    std::vector<std::string> warnings;
  };
  virtual Result<RunResult> run(const CreateRequest& request, std::optional<AttachStreams> attach,
                                uint16_t rows, uint16_t columns) = 0;
  // An already running one is fine (Docker: 304). With `attach` as in run.
  virtual Result<RunResult> start(const std::string& name, std::optional<AttachStreams> attach,
                                  uint16_t rows, uint16_t columns) = 0;
  virtual Result<std::unique_ptr<Session>> attach(const std::string& name,
                                                  AttachStreams streams) = 0;
  // The end of an attached run or start: records the exit, releases the network, removes a --rm
  // container. Idempotent; also `wherry __settle ID`.
  virtual Result<void> settle(const std::string& id) = 0;
  // Stop signal, wait, SIGKILL. timeout: seconds, -1 for ever, nullopt: the container's (10).
  virtual Result<void> stop(const std::string& name, std::optional<int> timeout,
                            const std::string& signal) = 0;
  virtual Result<void> restart(const std::string& name, std::optional<int> timeout,
                               const std::string& signal) = 0;
  virtual Result<void> kill(const std::string& name, const std::string& signal) = 0;
  // Freezes and thaws every process of a running container. kConflict in Docker's words otherwise.
  virtual Result<void> pause(const std::string& name) = 0;
  virtual Result<void> unpause(const std::string& name) = 0;
  virtual Result<void> rename(const std::string& name, const std::string& new_name) = 0;
  virtual Result<void> remove(const std::string& name, bool force, bool volumes) = 0;
  virtual Result<int> wait(const std::string& name) = 0;  // the exit code
  // A new image: the container's own, with what it has changed as one more layer.
  virtual Result<store::Image> commit(const CommitRequest& request) = 0;
  // What is different from its image, as Store::changes() tells it.
  virtual Result<void> changes(
      const std::string& name,
      const std::function<Result<void>(const tree::Difference&)>& sink) = 0;
  virtual Result<ContainerRecord> inspect(const std::string& name) = 0;
  virtual Result<std::vector<ContainerRecord>> list(const ContainerFilter& filter) = 0;
  struct LogFile {
    std::string path;  // empty: log driver "none"
    ContainerRecord record;
    // Blocks until the log has grown (true) or the container has ended (false). Empty when not
    // running.
    std::function<Result<bool>()> wait_for_growth;
  };
  virtual Result<LogFile> log(const std::string& name, bool follow) = 0;
  struct ExecResult {
    std::string id;
    std::unique_ptr<Session> session;  // empty when detached
  };
  virtual Result<ExecResult> exec(const std::string& name, const ExecRequest& request) = 0;

  // --- images
  virtual Result<store::Image> bootstrap(const BootstrapRequest& request) = 0;
  virtual Result<store::Image> import(const ImportRequest& request) = 0;
  virtual Result<std::vector<store::Image>> images() = 0;
  virtual Result<store::Image> image(const std::string& name) = 0;
  virtual Result<void> tag(const std::string& source, const std::string& target) = 0;
  virtual Result<store::Store::Removed> remove_image(const std::string& name, bool force) = 0;
  // One tar that is an OCI image layout and a docker-archive. Returns warnings.
  virtual Result<std::vector<std::string>> save(const SaveRequest& request) = 0;
  // All images of an archive, or none.
  virtual Result<std::vector<store::Store::Loaded>> load(const LoadRequest& request) = 0;
  // Images that no container uses: those without a name, or `all`. Filters: see prune_filter.h.
  virtual Result<store::Store::Removed> prune_images(
      bool all, const std::vector<std::pair<std::string, std::string>>& filters) = 0;
  // Bytes of each layer of an image, bottom first, in the order of its diff ids.
  virtual Result<std::vector<uint64_t>> layer_sizes(const store::Image& image) = 0;

  // What the store says of itself (store/store.h).
  virtual Result<store::FsckReport> fsck(const store::FsckOptions& options) = 0;
  virtual Result<store::Collected> collect(const store::CollectOptions& options) = 0;
  virtual Result<std::vector<store::ImageUsage>> image_usage() = 0;
  virtual Result<std::string> tree_digest(const store::Image& image) = 0;
  virtual Result<void> differences(
      const store::Image& before, const store::Image& after,
      const std::function<Result<void>(const tree::Difference&)>& sink) = 0;
  virtual Result<void> walk_image(const store::Image& image,
                                  const std::function<Result<void>(const tree::Entry&)>& sink) = 0;

  // --- registries, with the credentials that login has kept (Docker's config.json and its helpers)
  virtual Result<transfer::Pulled> pull(const PullRequest& request) = 0;
  virtual Result<transfer::Pushed> push(const PushRequest& request) = 0;
  // What the registry lists for a repository ("host:5000/team/app").
  virtual Result<std::vector<std::string>> remote_tags(const std::string& repository) = 0;
  struct LoggedIn {
    std::string file;    // where the credentials are readable; empty: a helper keeps them
    std::string helper;  // its program
  };
  // Asks the registry and, when it agrees, keeps the credentials. kPermissionDenied: it does not.
  // kNotFound: none were given and none are kept.
  virtual Result<LoggedIn> login(const LoginRequest& request) = 0;
  // False: nothing was kept.
  virtual Result<bool> logout(const std::string& server) = 0;

  // --- volumes
  // One that is there already is returned as it is.
  virtual Result<Volume> create_volume(const VolumeRequest& request) = 0;
  virtual Result<std::vector<Volume>> volumes(const Filters& filters) = 0;  // by name
  virtual Result<Volume> volume(const std::string& name) = 0;
  // kConflict while a container mounts it, running or not. `force`: a missing one is fine.
  virtual Result<void> remove_volume(const std::string& name, bool force) = 0;
  // Those that no container mounts: anonymous ones, or all with the filter all=true.
  virtual Result<Pruned> prune_volumes(const Filters& filters) = 0;

  // What a builder in this process works with (engine/build_host.h). kUnsupported: builds of this
  // engine happen elsewhere.
  virtual Result<BuildHost*> build_host() = 0;

  // --- pruning
  // Containers that do not run. Filters: until, label, label!.
  virtual Result<Pruned> prune_containers(const Filters& filters) = 0;
  // Gives back what the kernel holds for networks that no container is attached to: bridges, rules,
  // forwarding. They come back with the next container.
  virtual Result<void> prune_networks() = 0;

  virtual Result<Info> info() = 0;
};

}  // namespace wherry::engine
