// ContentDigest: "sha256:<64 hex>" or "sha512:<128 hex>", the two algorithms of the OCI image spec
// (descriptor.md, "Registered algorithms"); and a Hasher that computes either from a stream.
#pragma once

#include <compare>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace wherry::registry {

enum class Algorithm { kSha256, kSha512 };

std::string_view algorithm_name(Algorithm algorithm);

class ContentDigest {
 public:
  // nullopt on anything but the exact forms above.
  static std::optional<ContentDigest> parse(std::string_view text);

  Algorithm algorithm() const { return algorithm_; }
  const std::string& hex() const { return hex_; }
  std::string str() const { return std::string(algorithm_name(algorithm_)) + ":" + hex_; }
  // "sha256/<hex>": where it lies below a directory.
  std::string path() const { return std::string(algorithm_name(algorithm_)) + "/" + hex_; }

  auto operator<=>(const ContentDigest&) const = default;

 private:
  friend class Hasher;
  ContentDigest(Algorithm algorithm, std::string hex)
      : algorithm_(algorithm), hex_(std::move(hex)) {}
  Algorithm algorithm_;
  std::string hex_;
};

class Hasher {
 public:
  explicit Hasher(Algorithm algorithm);
  // A copy goes on from the same state.
  Hasher(const Hasher& other);
  Hasher& operator=(const Hasher& other);
  Hasher(Hasher&&) noexcept = default;
  Hasher& operator=(Hasher&&) noexcept = default;

  Algorithm algorithm() const { return algorithm_; }
  void update(std::string_view data);
  // Of what came so far; more may follow.
  ContentDigest digest() const;

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  Algorithm algorithm_;
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

ContentDigest digest_of(Algorithm algorithm, std::string_view data);

}  // namespace wherry::registry
