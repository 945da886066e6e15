// Image references: "debian", "debian:bookworm", "host:5000/team/app@sha256:...".
//
// Docker's rules (distribution/reference grammar): no domain means docker.io, one path component
// there means library/; no tag and no digest means :latest. A first component with '.' or ':' or
// that is "localhost" is a domain. Names are lower case, at most 255 bytes; tags [\w][\w.-]{0,127}.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/digest.h"

namespace wherry::oci {

class ImageRef {
 public:
  static Result<ImageRef> parse(std::string_view text);

  const std::string& domain() const { return domain_; }           // docker.io
  const std::string& path() const { return path_; }               // library/debian
  const std::optional<std::string>& tag() const { return tag_; }  // "latest" when none was given
  const std::optional<Digest>& digest() const { return digest_; }
  // "docker.io/library/debian": the key in the store.
  std::string repository() const { return domain_ + "/" + path_; }
  // "debian": what users see.
  std::string familiar_repository() const;
  // "debian:bookworm" or "debian@sha256:...".
  std::string familiar() const;

 private:
  std::string domain_, path_;
  std::optional<std::string> tag_;
  std::optional<Digest> digest_;
};

}  // namespace wherry::oci
