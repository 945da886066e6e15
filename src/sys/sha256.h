// SHA-256 as a stream, through libcrypto's low-level functions: an EVP digest reads openssl.cnf at
// first use, which costs 0.8 ms of a 1 ms command (measured; docs/design/start.md).
#pragma once

#include <openssl/sha.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "base/digest.h"

namespace wherry::sys {

class Sha256 {
 public:
  Sha256();
  void update(std::string_view data);
  Digest finish();                         // ends the stream; the object is spent
  std::array<uint8_t, 32> finish_bytes();  // likewise

 private:
  SHA256_CTX context_;
};

Digest sha256(std::string_view data);

}  // namespace wherry::sys
