#include "transfer/remote.h"

#include <sys/mman.h>

#include <cerrno>
#include <map>

#include "base/text.h"
#include "oci/names.h"
#include "sys/sha256.h"
#include "transfer/patience.h"
#include "transfer/remote_helper.h"

namespace wherry::transfer {
namespace {

using wire::Message;
using wire::Operation;
using wire::Report;

constexpr size_t kMaxTags = 8u << 20;

// So that no name becomes another URL.
Result<void> check_repository(const std::string& name) {
  if (oci::is_repository(name)) return {};
  return Error(ErrorKind::kInvalidArgument, "invalid repository '" + name.substr(0, 255) + "'");
}

// A tag, or a digest.
Result<void> check_reference(const std::string& reference) {
  if (reference.find(':') != reference.npos) {
    TRY(Digest digest, Digest::parse(reference));
    return {};
  }
  if (oci::is_tag(reference)) return {};
  return Error(ErrorKind::kInvalidArgument, "invalid tag '" + reference.substr(0, 128) + "'");
}

// Small texts that do not fit in a packet travel in one of these.
Result<sys::Fd> make_memory(const char* name, const std::string& content = "") {
  sys::Fd fd(memfd_create(name, MFD_CLOEXEC));
  if (!fd) return Error::from_errno(errno, "cannot make a file in memory");
  if (content.empty()) return fd;
  TRY_VOID(sys::write_all(fd.get(), content));
  if (lseek(fd.get(), 0, SEEK_SET) != 0) return Error::from_errno(errno, "cannot rewind a file");
  return fd;
}

Result<std::string> read_memory(const sys::Fd& fd, size_t limit) {
  if (lseek(fd.get(), 0, SEEK_SET) != 0) return Error::from_errno(errno, "cannot rewind a file");
  return sys::read_all(fd.get(), limit);
}

}  // namespace

struct Remote::State {
  Endpoint endpoint;
  wire::Opening opening;
  std::string name;  // for errors
  RemoteHelper helper;
  bool met_plain_http = false;
  struct Transfer {
    bool upload;
    Digest digest;
  };
  std::map<int, Transfer> transfers;

  Result<void> ensure_started();
  Result<Report> call(Message message, int fd, const std::string& context);
  Result<int> start(Operation operation, const BlobJob& job);
  std::string context_of(const Transfer& transfer) const {
    return (transfer.upload ? "cannot upload blob '" : "cannot download blob '") +
           transfer.digest.str() + (transfer.upload ? "' to '" : "' from '") + name + "'";
  }
};

Result<void> Remote::State::ensure_started() {
  if (helper.started()) return {};
  std::vector<sys::Fd> files;
  std::pair<const char*, const std::string*> all[] = {
      {"ca", &endpoint.ca_file}, {"cert", &endpoint.client_cert}, {"key", &endpoint.client_key}};
  opening.files.clear();
  for (auto [kind, path] : all) {
    if (path->empty()) continue;
    TRY(sys::Fd file, sys::open_file(*path, O_RDONLY));
    files.push_back(std::move(file));
    opening.files.emplace_back(kind);
  }
  return helper.start(opening, files);
}

Result<Report> Remote::State::call(Message message, int fd, const std::string& context) {
  met_plain_http = false;
  TRY_VOID_CTX(ensure_started(), context);
  TRY_CTX(uint64_t id, helper.send(std::move(message), fd), context);
  TRY_CTX(Report report, helper.wait(id), context);
  met_plain_http = report.plain_http;
  if (report.kind == Report::Kind::kFailed) return std::move(report.error).wrap(context);
  return report;
}

Result<int> Remote::State::start(Operation operation, const BlobJob& job) {
  Transfer transfer{operation == Operation::kUpload, job.digest};
  TRY_VOID_CTX(ensure_started(), context_of(transfer));
  Message message;
  message.operation = operation;
  message.digest = job.digest.str();
  message.size = job.size;
  message.urls = job.urls;
  TRY_CTX(uint64_t id, helper.send(std::move(message), job.fd), context_of(transfer));
  transfers.emplace(static_cast<int>(id), std::move(transfer));
  return static_cast<int>(id);
}

Remote::Remote(std::unique_ptr<State> state) : state_(std::move(state)) {}
Remote::Remote(Remote&&) noexcept = default;
Remote& Remote::operator=(Remote&&) noexcept = default;
Remote::~Remote() = default;

Result<Remote> Remote::open(const Endpoint& endpoint, const std::string& repository,
                            const std::string& actions, const std::vector<std::string>& also_pull) {
  if (!repository.empty()) TRY_VOID(check_repository(repository));
  for (const std::string& other : also_pull) TRY_VOID(check_repository(other));
  TRY(RemoteHelper helper, RemoteHelper::make());
  wire::Opening opening;
  opening.domain = endpoint.domain;
  opening.base_url = endpoint.base_url;
  opening.repository = repository;
  opening.actions = actions;
  opening.also_pull = also_pull;
  opening.verify_tls = endpoint.verify_tls;
  opening.patience = patience({endpoint.connect_ms, endpoint.stall_ms, endpoint.backoff_ms});
  if (endpoint.credentials) {
    opening.has_credentials = true;
    opening.username = endpoint.credentials->username;
    opening.password = endpoint.credentials->password;
    opening.identity_token = endpoint.credentials->identity_token;
  }
  std::string name = endpoint.domain + "/" + repository;
  return Remote(std::unique_ptr<State>(
      new State{endpoint, std::move(opening), std::move(name), std::move(helper)}));
}

Result<std::string> Remote::check_login() {
  Message message;
  message.operation = Operation::kLogin;
  TRY(Report report,
      state_->call(std::move(message), -1, "cannot log in to '" + state_->endpoint.domain + "'"));
  return std::move(report.identity_token);
}

Result<RemoteManifest> Remote::get_manifest(const std::string& tag_or_digest) {
  std::string context = "cannot get manifest '" + tag_or_digest + "' of '" + state_->name + "'";
  TRY_VOID_CTX(check_reference(tag_or_digest), context);
  TRY_CTX(sys::Fd memory, make_memory("manifest"), context);
  Message message;
  message.operation = Operation::kGetManifest;
  message.reference = tag_or_digest;
  TRY(Report report, state_->call(std::move(message), memory.get(), context));
  TRY_CTX(std::string bytes, read_memory(memory, wire::kMaxManifest), context);
  // The helper has compared them; it is not trusted for that.
  Digest digest = sys::sha256(bytes);
  if (report.digest != digest.str() ||
      (tag_or_digest.find(':') != tag_or_digest.npos && tag_or_digest != digest.str()))
    return Error(ErrorKind::kCorrupt, context + ": it has the digest '" + digest.str() + "'");
  return RemoteManifest{std::move(report.media_type), std::move(bytes), std::move(digest)};
}

Result<std::optional<Digest>> Remote::head_manifest(const std::string& tag_or_digest) {
  std::string context = "cannot ask for manifest '" + tag_or_digest + "' of '" + state_->name + "'";
  TRY_VOID_CTX(check_reference(tag_or_digest), context);
  Message message;
  message.operation = Operation::kHeadManifest;
  message.reference = tag_or_digest;
  TRY(Report report, state_->call(std::move(message), -1, context));
  if (!report.found) return std::optional<Digest>();
  TRY_CTX(Digest digest, Digest::parse(report.digest), context);
  return std::optional<Digest>(std::move(digest));
}

Result<Digest> Remote::put_manifest(const std::string& tag_or_digest, const std::string& media_type,
                                    const std::string& bytes) {
  std::string context = "cannot put manifest '" + tag_or_digest + "' into '" + state_->name + "'";
  TRY_VOID_CTX(check_reference(tag_or_digest), context);
  if (bytes.size() > wire::kMaxManifest)
    return Error(ErrorKind::kInvalidArgument, context + ": it is larger than 4 MiB");
  TRY_CTX(sys::Fd memory, make_memory("manifest", bytes), context);
  Message message;
  message.operation = Operation::kPutManifest;
  message.reference = tag_or_digest;
  message.media_type = media_type;
  message.size = bytes.size();
  TRY(Report report, state_->call(std::move(message), memory.get(), context));
  return sys::sha256(bytes);
}

Result<std::vector<std::string>> Remote::list_tags() {
  std::string context = "cannot list the tags of '" + state_->name + "'";
  TRY_CTX(sys::Fd memory, make_memory("tags"), context);
  Message message;
  message.operation = Operation::kListTags;
  TRY(Report report, state_->call(std::move(message), memory.get(), context));
  TRY_CTX(std::string lines, read_memory(memory, kMaxTags), context);
  std::vector<std::string> tags;
  for (std::string_view line : split(lines, '\n')) {
    if (line.empty()) continue;
    TRY_VOID_CTX(check_reference(std::string(line)), context);
    tags.emplace_back(line);
  }
  return tags;
}

Result<bool> Remote::has_blob(const Digest& digest) {
  Message message;
  message.operation = Operation::kHasBlob;
  message.digest = digest.str();
  TRY(Report report,
      state_->call(std::move(message), -1,
                   "cannot ask for blob '" + digest.str() + "' of '" + state_->name + "'"));
  return report.found;
}

Result<bool> Remote::mount_blob(const Digest& digest, const std::string& from_repository) {
  std::string context = "cannot mount blob '" + digest.str() + "' of '" + from_repository +
                        "' in '" + state_->name + "'";
  TRY_VOID_CTX(check_repository(from_repository), context);
  Message message;
  message.operation = Operation::kMountBlob;
  message.digest = digest.str();
  message.from = from_repository;
  TRY(Report report, state_->call(std::move(message), -1, context));
  return report.found;
}

bool Remote::met_plain_http() const {
  return state_->met_plain_http;
}

Result<int> Remote::start_download(const BlobJob& job) {
  return state_->start(Operation::kDownload, job);
}

Result<int> Remote::start_upload(const BlobJob& job) {
  return state_->start(Operation::kUpload, job);
}

int Remote::fd() const {
  return state_->helper.fd();
}

Result<Remote::Event> Remote::next() {
  TRY(Report report, state_->helper.next());
  Event event;
  event.id = static_cast<int>(report.id);
  event.bytes = report.bytes;
  if (report.kind == Report::Kind::kProgress) return event;
  auto transfer = state_->transfers.find(event.id);
  if (transfer == state_->transfers.end())
    return Error(ErrorKind::kInternal, "wherry-transfer reports what it was not asked for");
  event.kind = Event::Kind::kDone;
  if (report.kind == Report::Kind::kFailed) {
    event.kind = Event::Kind::kFailed;
    state_->met_plain_http = report.plain_http;
    event.error = std::move(report.error).wrap(state_->context_of(transfer->second));
  }
  state_->transfers.erase(transfer);
  return event;
}

void Remote::cancel(int id) {
  if (state_->transfers.erase(id) == 0) return;
  // A helper that is gone has nothing more to say either.
  [[maybe_unused]] Result<void> cancelled = state_->helper.cancel(static_cast<uint64_t>(id));
}

}  // namespace wherry::transfer
