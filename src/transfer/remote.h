// Remote: one repository of a registry, as the distribution spec 1.1 has it, through
// wherry-transfer.
//
// This process never speaks HTTP itself: each Remote owns one wherry-transfer (spawned on first
// use, confined, kept for the connection's sake) and sends it requests; bodies travel through
// descriptors that are passed along. Authentication (basic, bearer tokens with their scopes),
// redirects without credentials, retries of what is safe to retry, ranges and resumption live on
// the helper's side. Credentials reach it over the request socket only. Errors name the registry,
// the object and what to do; HTTP 401/403 are kPermissionDenied, 404 kNotFound, 429 and 5xx, lost
// connections and servers that are not trusted kUnavailable, a wrong digest or size kCorrupt.
// Thread rule: one thread per object; blob transfers run concurrently inside the helper.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "sys/fd.h"

namespace wherry::transfer {

struct Credentials {
  std::string username, password;
  std::string identity_token;  // OAuth2 refresh token; used instead of the password when not empty
};

// How to reach a registry.
struct Endpoint {
  std::string domain;      // as in references: "docker.io", "host:5000"
  std::string base_url;    // "https://registry-1.docker.io", "http://127.0.0.1:5000"
  bool verify_tls = true;  // false: listed as insecure
  std::string ca_file, client_cert, client_key;  // /etc/docker/certs.d; empty: the system's
  std::optional<Credentials> credentials;
  // How long a connection may take, how long less than a KiB a second may come, and the pause
  // before the first of five retries, which doubles. WHERRY_TRANSFER_PATIENCE=CONNECT,STALL,BACKOFF
  // (milliseconds) overrides them for tests.
  uint32_t connect_ms = 30'000, stall_ms = 60'000, backoff_ms = 250;
};

struct RemoteManifest {
  std::string media_type;
  std::string bytes;  // exact; at most 4 MiB
  Digest digest;      // of the bytes; equal to the asked digest when one was asked for
};

// One blob on its way. Poll fd() beside others; done() without blocking.
struct BlobJob {
  Digest digest;
  uint64_t size = 0;  // as the descriptor says; more or less is kCorrupt
  int fd = -1;        // download: written in order; upload: read from its beginning with pread
  // Download: where else the bytes may be (a descriptor's `urls`); never with credentials.
  std::vector<std::string> urls = {};
};

class Remote {
 public:
  // `repository`: "library/debian". `actions`: "pull" or "pull,push"; `also_pull`: repositories
  // that blobs may be mounted from (their scopes go into the same token).
  static Result<Remote> open(const Endpoint& endpoint, const std::string& repository,
                             const std::string& actions,
                             const std::vector<std::string>& also_pull = {});
  Remote(Remote&&) noexcept;
  Remote& operator=(Remote&&) noexcept;
  ~Remote();  // ends the helper and what it is doing

  // GET /v2/ with the credentials: login's question. Returns the identity token when the registry
  // gives one, else "".
  Result<std::string> check_login();
  Result<RemoteManifest> get_manifest(const std::string& tag_or_digest);
  // The digest that the registry has for the tag, nullopt: none.
  Result<std::optional<Digest>> head_manifest(const std::string& tag_or_digest);
  Result<Digest> put_manifest(const std::string& tag_or_digest, const std::string& media_type,
                              const std::string& bytes);
  Result<std::vector<std::string>> list_tags();

  Result<bool> has_blob(const Digest& digest);
  // True: mounted. False: the registry wants the bytes.
  Result<bool> mount_blob(const Digest& digest, const std::string& from_repository);

  // The last error was that an https server speaks plain HTTP: an insecure one may be asked again
  // by http.
  bool met_plain_http() const;

  // Transfers run in the helper, several at once. Ids are small numbers that events carry. The
  // descriptor stays the caller's, who closes it at once when it is a pipe's end (which becomes
  // non-blocking). A pipe's reader sees its end before the event; only kDone says that the bytes
  // are what they must be.
  Result<int> start_download(const BlobJob& job);
  Result<int> start_upload(const BlobJob& job);
  struct Event {
    int id = 0;
    enum class Kind { kProgress, kDone, kFailed } kind = Kind::kProgress;
    uint64_t bytes = 0;  // so far
    std::optional<Error> error;
  };
  int fd() const;        // readable: an event waits
  Result<Event> next();  // blocks until there is one
  void cancel(int id);   // no event of this transfer follows

 private:
  struct State;
  explicit Remote(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace wherry::transfer
