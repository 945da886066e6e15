#include "wire/session_files.h"

#include <curl/curl.h>

namespace wherry::wire {
namespace {

constexpr size_t kMaxFile = 1u << 20;
constexpr size_t kMaxBundle = 16u << 20;

// The bundle that curl would read by itself; a machine without one trusts the given alone.
std::string system_authorities() {
  const curl_version_info_data* info = curl_version_info(CURLVERSION_NOW);
  if (info->cainfo == nullptr) return "";
  Result<std::string> bundle = sys::read_file(info->cainfo, kMaxBundle);
  return bundle ? *bundle : "";
}

}  // namespace

Result<Session> read_session_files(const std::vector<std::string>& names,
                                   const std::vector<sys::Fd>& fds) {
  if (names.size() != fds.size())
    return Error(ErrorKind::kInvalidArgument, "a certificate's descriptor is missing");
  Session session;
  for (size_t i = 0; i < names.size(); ++i) {
    TRY_CTX(std::string text, sys::read_all(fds[i].get(), kMaxFile),
            "cannot read a certificate of the registry");
    if (names[i] == "ca")
      session.authorities = text + "\n" + system_authorities();
    else if (names[i] == "cert")
      session.client_certificate = std::move(text);
    else if (names[i] == "key")
      session.client_key = std::move(text);
    else
      return Error(ErrorKind::kInvalidArgument, "unknown file '" + names[i] + "'");
  }
  if (session.client_certificate.empty() != session.client_key.empty())
    return Error(ErrorKind::kInvalidArgument,
                 "a client certificate needs its key, and a key its certificate");
  return session;
}

}  // namespace wherry::wire
