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

Digest Sha256::finish() {
  unsigned char bytes[SHA256_DIGEST_LENGTH];
  SHA256_Final(bytes, &context_);
  return *Digest::from_hex(to_hex(bytes));
}

Digest sha256(std::string_view data) {
  Sha256 stream;
  stream.update(data);
  return stream.finish();
}

}  // namespace wherry::sys
