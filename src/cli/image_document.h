// An image as `inspect` prints it: the Engine API's image model, from the stored bytes. Pure.
#pragma once

#include <nlohmann/json.hpp>

#include "cli/template.h"
#include "store/store.h"

namespace wherry::cli {

Result<Json> image_document(const store::Image& image);

}  // namespace wherry::cli
