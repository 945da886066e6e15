// What a Store holds and what its parts share. Inside store/ only.
#pragma once

#include "state/images.h"
#include "store/incoming.h"
#include "store/store.h"

namespace wherry::store {

struct Store::State {
  state::Database& database;
  Places places;
};

// "docker.io/library/debian:bookworm".
std::string tag_key(const oci::ImageRef& reference);

struct FoundImage {
  state::ImageRow row;
  bool by_id = false;  // false: by a reference
};
// A reference goes before an id, as in Docker. kNotFound: "no such image: x".
Result<FoundImage> find_image(state::Database& database, std::string_view name_or_id);

}  // namespace wherry::store
