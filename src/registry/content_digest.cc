#include "registry/content_digest.h"

#include <openssl/evp.h>

#include <cstdlib>
#include <span>

#include "base/text.h"

namespace wherry::registry {
namespace {

const EVP_MD* implementation(Algorithm algorithm) {
  return algorithm == Algorithm::kSha256 ? EVP_sha256() : EVP_sha512();
}

// libcrypto fails here only without memory or without its own algorithms.
void require(int ok) {
  if (ok != 1) abort();
}

}  // namespace

std::string_view algorithm_name(Algorithm algorithm) {
  return algorithm == Algorithm::kSha256 ? "sha256" : "sha512";
}

std::optional<ContentDigest> ContentDigest::parse(std::string_view text) {
  auto [name, hex] = split_once(text, ':');
  if (!hex || !is_hex(*hex)) return std::nullopt;
  if (name == "sha256" && hex->size() == 64)
    return ContentDigest(Algorithm::kSha256, std::string(*hex));
  if (name == "sha512" && hex->size() == 128)
    return ContentDigest(Algorithm::kSha512, std::string(*hex));
  return std::nullopt;
}

void Hasher::Free::operator()(evp_md_ctx_st* context) const {
  EVP_MD_CTX_free(context);
}

Hasher::Hasher(Algorithm algorithm) : algorithm_(algorithm), context_(EVP_MD_CTX_new()) {
  require(context_ != nullptr);
  require(EVP_DigestInit_ex(context_.get(), implementation(algorithm), nullptr));
}

Hasher::Hasher(const Hasher& other) : algorithm_(other.algorithm_), context_(EVP_MD_CTX_new()) {
  require(context_ != nullptr);
  require(EVP_MD_CTX_copy_ex(context_.get(), other.context_.get()));
}

Hasher& Hasher::operator=(const Hasher& other) {
  if (this != &other) *this = Hasher(other);
  return *this;
}

void Hasher::update(std::string_view data) {
  require(EVP_DigestUpdate(context_.get(), data.data(), data.size()));
}

ContentDigest Hasher::digest() const {
  Hasher spent(*this);
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  require(EVP_DigestFinal_ex(spent.context_.get(), bytes, &length));
  return ContentDigest(algorithm_, to_hex(std::span<const unsigned char>(bytes, length)));
}

ContentDigest digest_of(Algorithm algorithm, std::string_view data) {
  Hasher hasher(algorithm);
  hasher.update(data);
  return hasher.digest();
}

}  // namespace wherry::registry
