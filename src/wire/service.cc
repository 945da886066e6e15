#include "wire/service.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <optional>

#include "base/clock.h"
#include "base/failpoint.h"
#include "wire/registry.h"
#include "wire/session_files.h"

namespace wherry::wire {
namespace {

constexpr size_t kMaxJobs = 64;
constexpr int64_t kProgressNs = 100'000'000;
constexpr int kIdleMs = 60'000;

struct Packet {
  std::string text;
  std::vector<sys::Fd> fds;
};

// nullopt: the other end is gone. An empty text: nothing waits.
Result<std::optional<Packet>> receive(int socket) {
  Packet packet;
  packet.text.resize(kMaxPacket);
  iovec part{packet.text.data(), packet.text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxPacketFds * sizeof(int))];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got == 0 || (got < 0 && errno == ECONNRESET)) return std::optional<Packet>();
  if (got < 0 && errno != EAGAIN && errno != EINTR)
    return Error::from_errno(errno, "cannot receive a request");
  packet.text.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
  for (cmsghdr* item = got > 0 ? CMSG_FIRSTHDR(&header) : nullptr; item != nullptr;
       item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      memcpy(&fd, CMSG_DATA(item) + i * sizeof fd, sizeof fd);
      packet.fds.emplace_back(fd);
    }
  }
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
    return Error(ErrorKind::kCorrupt, "a request is too large");
  return std::optional<Packet>(std::move(packet));
}

Report failed(uint64_t id, Error error) {
  Report report;
  report.id = id;
  report.kind = Report::Kind::kFailed;
  report.error = std::move(error);
  return report;
}

class Service {
 public:
  Service(Loop& loop, int socket) : loop_(loop), socket_(socket) {}

  Result<void> run() {
    for (;;) {
      std::vector<pollfd> polls = {
          {socket_, static_cast<short>(out_.empty() ? POLLIN : POLLIN | POLLOUT), 0}};
      for (const auto& [id, job] : jobs_)
        if (job.fd) polls.push_back({job.fd.get(), 0, 0});
      loop_.turn(polls, kIdleMs);
      end_unread_jobs(polls);
      bool more = polls[0].revents != 0;
      while (more) {
        TRY(std::optional<Packet> packet, receive(socket_));
        if (!packet) return {};
        more = !packet->text.empty();
        if (more) TRY_VOID(take(std::move(*packet)));
      }
      finish_jobs();
      TRY_VOID(send_reports());
    }
  }

 private:
  struct Job {
    sys::Fd fd;  // closed when the task is done
    std::optional<Task<Report>> task;
  };

  Result<void> take(Packet packet) {
    TRY(Message message, decode_message(packet.text));
    if (message.operation == Operation::kOpen) return open(message, std::move(packet.fds));
    if (message.operation == Operation::kCancel) {
      jobs_.erase(message.target);
      Report report;
      report.id = message.id;
      report.kind = Report::Kind::kDone;
      out_.push_back(encode(report));
      return {};
    }
    if (!registry_ || jobs_.contains(message.id))
      return Error(ErrorKind::kInvalidArgument, "a request out of order");
    if (jobs_.size() >= kMaxJobs) {
      out_.push_back(encode(failed(
          message.id, Error(ErrorKind::kResourceExhausted, "more than 64 transfers at once"))));
      return {};
    }
    Job& job = jobs_[message.id];
    if (!packet.fds.empty()) job.fd = std::move(packet.fds.front());
    job.task.emplace(run_job(std::move(message), job.fd));
    job.task->start();
    return {};
  }

  Result<void> open(const Message& message, std::vector<sys::Fd> fds) {
    if (registry_) return Error(ErrorKind::kInvalidArgument, "a request out of order");
    Result<Session> session = read_session_files(message.opening.files, fds);
    if (session) {
      Result<std::unique_ptr<Registry>> registry =
          Registry::open(loop_, message.opening, std::move(*session));
      if (registry) {
        registry_ = std::move(*registry);
        Report report;
        report.id = message.id;
        report.kind = Report::Kind::kDone;
        out_.push_back(encode(report));
        return {};
      }
      session = std::move(registry.error());
    }
    out_.push_back(encode(failed(message.id, std::move(session.error()))));
    return {};
  }

  Task<Report> run_job(Message message, sys::Fd& fd) {
    Report report;
    report.id = message.id;
    report.kind = Report::Kind::kDone;
    Result<void> result = co_await run_operation(message, fd, report);
    // Whoever reads the other end of a pipe sees its end before he asks how it went.
    fd.reset();
    if (!result) {
      bool plain_http = registry_->met_plain_http();
      report = failed(message.id, std::move(result.error()));
      report.plain_http = plain_http;
    }
    co_return report;
  }

  Task<Result<void>> run_operation(const Message& message, const sys::Fd& fd, Report& report) {
    CO_TRY_VOID(failpoint("wire.operation"));
    switch (message.operation) {
      case Operation::kLogin: {
        Result<std::string> token = co_await registry_->login();
        CO_TRY(report.identity_token, std::move(token));
        co_return Result<void>();
      }
      case Operation::kGetManifest: {
        Result<Manifest> manifest = co_await registry_->get_manifest(message.reference);
        if (!manifest) co_return Error(std::move(manifest.error()));
        report.bytes = manifest->bytes.size();
        report.digest = manifest->digest.str();
        report.media_type = manifest->media_type.substr(0, 256);
        co_return sys::write_all(fd.get(), manifest->bytes);
      }
      case Operation::kHeadManifest: {
        Result<std::optional<Digest>> digest = co_await registry_->head_manifest(message.reference);
        if (!digest) co_return Error(std::move(digest.error()));
        report.found = digest->has_value();
        if (report.found) report.digest = (*digest)->str();
        co_return Result<void>();
      }
      case Operation::kPutManifest: {
        CO_TRY(std::string bytes, sys::read_all(fd.get(), kMaxManifest));
        Result<Digest> digest =
            co_await registry_->put_manifest(message.reference, message.media_type, bytes);
        if (!digest) co_return Error(std::move(digest.error()));
        report.digest = digest->str();
        co_return Result<void>();
      }
      case Operation::kListTags: {
        Result<std::string> tags = co_await registry_->list_tags();
        if (!tags) co_return Error(std::move(tags.error()));
        co_return sys::write_all(fd.get(), *tags);
      }
      default: {
        Result<void> result = co_await run_blob(message, fd, report);
        co_return result;
      }
    }
  }

  Task<Result<void>> run_blob(const Message& message, const sys::Fd& fd, Report& report) {
    CO_TRY(Digest digest, Digest::parse(message.digest));
    if (message.operation == Operation::kHasBlob || message.operation == Operation::kMountBlob) {
      Result<bool> found(false);
      if (message.operation == Operation::kHasBlob)
        found = co_await registry_->has_blob(digest);
      else
        found = co_await registry_->mount_blob(digest, message.from);
      CO_TRY(report.found, std::move(found));
      co_return Result<void>();
    }
    Registry::Blob blob{std::move(digest), message.size, fd.get(), message.urls, {}};
    int64_t last = monotonic_ns();
    blob.progress = [this, id = message.id, &report, &last](uint64_t bytes) {
      report.bytes = bytes;
      int64_t now = monotonic_ns();
      if (now - last < kProgressNs) return;
      last = now;
      tell_progress(id, bytes);
    };
    Result<void> result;
    if (message.operation == Operation::kDownload)
      result = co_await registry_->download(blob);
    else
      result = co_await registry_->upload(blob);
    report.bytes = blob.size;
    co_return result;
  }

  // Progress may be lost: it must hold up nothing.
  void tell_progress(uint64_t id, uint64_t bytes) {
    if (!out_.empty()) return;
    Report report;
    report.id = id;
    report.bytes = bytes;
    std::string text = encode(report);
    [[maybe_unused]] ssize_t dropped = send(socket_, text.data(), text.size(), MSG_DONTWAIT);
  }

  void finish_jobs() {
    for (auto job = jobs_.begin(); job != jobs_.end();) {
      if (!job->second.task->done()) {
        ++job;
        continue;
      }
      out_.push_back(encode(job->second.task->take()));
      job = jobs_.erase(job);
    }
  }

  // A server that is silent must not keep those waiting who know that nobody reads any more.
  void end_unread_jobs(const std::vector<pollfd>& polls) {
    std::erase_if(jobs_, [&](const auto& entry) {
      const auto& [id, job] = entry;
      bool unread = std::ranges::any_of(polls, [&](const pollfd& polled) {
        return polled.fd == job.fd.get() && (polled.revents & POLLERR) != 0;
      });
      if (unread)
        out_.push_back(encode(failed(id, Error::from_errno(EPIPE, "cannot write the blob"))));
      return unread;
    });
  }

  Result<void> send_reports() {
    while (!out_.empty()) {
      if (send(socket_, out_.front().data(), out_.front().size(), MSG_DONTWAIT) < 0) {
        if (errno == EAGAIN || errno == EINTR) return {};
        return Error::from_errno(errno, "cannot send a report");
      }
      out_.pop_front();
    }
    return {};
  }

  Loop& loop_;
  int socket_;
  std::unique_ptr<Registry> registry_;
  std::map<uint64_t, Job> jobs_;  // they use the registry: destroyed first
  std::deque<std::string> out_;
};

}  // namespace

Result<void> serve(int socket) {
  TRY(std::unique_ptr<Loop> loop, Loop::make());
  Service service(*loop, socket);
  return service.run();
}

}  // namespace wherry::wire
