// SipHash-1-3: a hash of names under a key that nobody outside knows, so that no archive can be
// made whose names all fall into one bucket. Source: Aumasson and Bernstein, "SipHash: a fast
// short-input PRF".
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace wherry::archive {

class KeyedHash {
 public:
  KeyedHash(const uint64_t (&key)[2], uint64_t first)
      : v0_(key[0] ^ 0x736f6d6570736575),
        v1_(key[1] ^ 0x646f72616e646f6d),
        v2_(key[0] ^ 0x6c7967656e657261),
        v3_(key[1] ^ 0x7465646279746573) {
    mix(first);
  }

  uint64_t of(std::string_view bytes) {
    uint64_t last = static_cast<uint64_t>(bytes.size()) << 56;
    for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
      uint64_t word;
      memcpy(&word, bytes.data(), 8);
      mix(word);
    }
    for (size_t i = 0; i < bytes.size(); ++i)
      last |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    mix(last);
    v2_ ^= 0xff;
    round();
    round();
    round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  void mix(uint64_t word) {
    v3_ ^= word;
    round();
    v0_ ^= word;
  }
  void round() {
    v0_ += v1_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v0_ = std::rotl(v0_, 32);
    v2_ += v3_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ += v3_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ += v1_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v2_ = std::rotl(v2_, 32);
  }

  uint64_t v0_, v1_, v2_, v3_;
};

}  // namespace wherry::archive
