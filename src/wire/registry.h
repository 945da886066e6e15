// The distribution spec 1.1 as a client: one repository of one registry.
//
// Each public function is a task; many run at once on one loop. They follow redirects (credentials
// stay with the registry's own origin, https never becomes http), answer challenges, and try again
// what may pass. Errors are without context: the caller knows what it wanted.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "sys/fd.h"
#include "wire/auth.h"
#include "wire/exchange.h"
#include "wire/retry.h"
#include "wire/task.h"

namespace wherry::wire {

struct Manifest {
  std::string bytes, media_type;
  Digest digest;
};

class Registry {
 public:
  // `session`: what the files of the opening held.
  static Result<std::unique_ptr<Registry>> open(Loop& loop, Opening opening, Session session);

  Task<Result<std::string>> login();  // the identity token, if there is one
  Task<Result<Manifest>> get_manifest(const std::string& reference);
  Task<Result<std::optional<Digest>>> head_manifest(const std::string& reference);
  Task<Result<Digest>> put_manifest(const std::string& reference, const std::string& media_type,
                                    const std::string& bytes);
  Task<Result<std::string>> list_tags();  // one a line
  Task<Result<bool>> has_blob(const Digest& digest);
  Task<Result<bool>> mount_blob(const Digest& digest, const std::string& from);

  struct Blob {
    Digest digest;
    uint64_t size = 0;
    int fd = -1;
    std::vector<std::string> urls;                 // where else a download may find it
    std::function<void(uint64_t bytes)> progress;  // so far
  };
  // Done means: all bytes are written and are the digest's. A pipe's end becomes non-blocking.
  Task<Result<void>> download(const Blob& blob);
  Task<Result<void>> upload(const Blob& blob);

  // The last failure was that the server speaks plain HTTP.
  bool met_plain_http() const { return met_plain_http_; }

 private:
  friend class Upload;
  struct Outcome {
    std::optional<Failure> failure;
    Response response;
    Url url;  // that answered

    bool is(long status) const { return !failure && response.status == status; }
  };

  Registry(Loop& loop, Opening opening, Session session, Url base);
  std::string url_of(const std::string& path) const;
  // One authorised try, redirects followed.
  Task<Outcome> attempt(Request request);
  // attempt() until it is final.
  Task<Outcome> send(Request request);
  Error error_of(const Outcome& outcome);

  Loop& loop_;
  Opening opening_;
  Session session_;
  Url base_;
  Authorizer authorizer_;
  bool known_ = false;  // it has answered
  bool met_plain_http_ = false;
  std::map<Digest, Url> sessions_;  // uploads that a refused mount has opened
};

}  // namespace wherry::wire
