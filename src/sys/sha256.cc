#include "sys/sha256.h"

#include "base/text.h"

// Deprecated in OpenSSL 3 in favour of EVP, whose first use reads a configuration file.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace wherry::sys {

Sha256::Sha256() : context_{} {
  SHA256_Init(&context_);
}

void Sha256::update(std::string_view data) {
  SHA256_Update(&context_, data.data(), data.size());
}

std::array<uint8_t, 32> Sha256::finish_bytes() {
  std::array<uint8_t, SHA256_DIGEST_LENGTH> bytes{};
  SHA256_Final(bytes.data(), &context_);
  return bytes;
}

Digest Sha256::finish() {
  return *Digest::from_hex(to_hex(finish_bytes()));
}

Digest sha256(std::string_view data) {
  Sha256 stream;
  stream.update(data);
  return stream.finish();
}

}  // namespace wherry::sys
