// What wherry and wherry-transfer say to each other over a SOCK_SEQPACKET pair; the format is
// docs/formats/transfer-protocol.md. Encoding and decoding only. Both sides link this; it knows no
// HTTP.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wherry::wire {

inline constexpr int kProtocolVersion = 1;
// Of one packet; larger texts travel through descriptors.
inline constexpr size_t kMaxPacket = 128u << 10;
inline constexpr size_t kMaxPacketFds = 4;
inline constexpr size_t kMaxManifest = 4u << 20;

// How long things may take. Tests make it short.
struct Patience {
  uint32_t connect_ms = 30'000;
  uint32_t stall_ms = 60'000;  // for less than a KiB a second
  uint32_t backoff_ms = 250;   // before the first of five retries, doubled each time
};

// The first request on a socket: whom to speak to. Descriptors: those of `files`, in that order.
struct Opening {
  std::string domain, base_url, repository, actions;
  std::vector<std::string> also_pull;
  bool verify_tls = true;
  std::string username, password, identity_token;
  bool has_credentials = false;
  std::vector<std::string> files;  // of "ca", "cert", "key"
  Patience patience;
};

enum class Operation {
  kOpen,
  kLogin,
  kGetManifest,  // descriptor: gets the bytes
  kHeadManifest,
  kPutManifest,  // descriptor: the bytes
  kListTags,     // descriptor: gets the names, one a line
  kHasBlob,
  kMountBlob,
  kDownload,  // descriptor: gets the bytes
  kUpload,    // descriptor: the bytes
  kCancel,
};

struct Message {
  uint64_t id = 0;
  Operation operation = Operation::kLogin;
  Opening opening;                // kOpen
  std::string reference;          // manifests: tag or digest
  std::string media_type;         // kPutManifest
  std::string digest;             // blobs
  uint64_t size = 0;              // blobs, kPutManifest
  std::string from;               // kMountBlob: a repository
  std::vector<std::string> urls;  // kDownload: where else it may be, without credentials
  uint64_t target = 0;            // kCancel: the id
};

struct Report {
  uint64_t id = 0;
  enum class Kind { kProgress, kDone, kFailed } kind = Kind::kProgress;
  uint64_t bytes = 0;
  bool found = false;  // kHasBlob, kMountBlob, kHeadManifest
  std::string digest, media_type, identity_token;
  Error error{ErrorKind::kInternal, ""};
  bool plain_http = false;  // the error is that the server speaks HTTP where HTTPS was asked for
};

std::string encode(const Message& message);
std::string encode(const Report& report);
// Anything that `encode` does not write is kCorrupt and named.
Result<Message> decode_message(std::string_view packet);
Result<Report> decode_report(std::string_view packet);

}  // namespace wherry::wire
