// Parts of the record's JSON that other files of the engine need alone. record.h has the whole.
#pragma once

#include <string>
#include <string_view>

#include "engine/record.h"

namespace wherry::engine {

std::string network_settings_to_json(const NetworkSettings& settings);
Result<NetworkSettings> parse_network_settings(std::string_view json);

}  // namespace wherry::engine
