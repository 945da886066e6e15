// From a name to one image's manifest and configuration: what a pull reads before any layer.
//
// Everything is checked against its digest and size, an index is followed to this machine's
// platform (once: an index in an index is refused), and what is not an image is refused by name.
#pragma once

#include <string>

#include "oci/image.h"
#include "transfer/remote.h"

namespace wherry::transfer {

struct Resolved {
  Digest digest;           // of what the name stands for: an index or a manifest
  std::string media_type;  // of the manifest
  std::string manifest_json;
  oci::Manifest manifest;
};

// `tag_or_digest` in the remote's repository. `platform`: "os/arch[/variant]".
Result<Resolved> resolve(Remote& remote, const std::string& tag_or_digest,
                         const std::string& platform);
// A blob small enough for memory: an image's configuration.
Result<std::string> fetch_blob(Remote& remote, const oci::Descriptor& blob);
// The configuration's own rules: one diff id for each layer, an operating system that runs here.
Result<oci::ImageConfig> read_config(const std::string& json, const oci::Manifest& manifest);

}  // namespace wherry::transfer
