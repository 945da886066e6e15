#include "base/digest.h"

#include "base/text.h"

namespace wherry {

Result<Digest> Digest::parse(std::string_view text) {
  auto [algorithm, hex] = split_once(text, ':');
  if (!hex)
    return Error(ErrorKind::kInvalidArgument,
                 "invalid digest '" + std::string(text.substr(0, 100)) + "': no algorithm");
  if (algorithm != "sha256")
    return Error(ErrorKind::kUnsupported,
                 "unsupported digest algorithm '" + std::string(algorithm.substr(0, 100)) + "'");
  return from_hex(*hex);
}

Result<Digest> Digest::from_hex(std::string_view hex) {
  if (hex.size() != 64 || !is_hex(hex))
    return Error(ErrorKind::kInvalidArgument, "invalid digest '" + std::string(hex.substr(0, 100)) +
                                                  "': not 64 lower-case hex digits");
  return Digest(std::string(hex));
}

}  // namespace wherry
