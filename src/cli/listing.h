// Listings (ps, images, history) by --format: Docker's tables, JSON lines and templates per row.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/template.h"

namespace wherry::cli {

// One row of a listing and what `.Label "key"` reads in it.
struct Row {
  Json fields;
  Json labels = nullptr;
};

// Prints rows by --format: "" or "table" (the default columns with headings), "table TEMPLATE",
// "json" (one object a line), or a template per row. `headings`: field -> column heading.
Result<void> print_rows(const std::string& format, std::string_view default_table,
                        const Json& headings, const std::vector<Row>& rows);

}  // namespace wherry::cli
