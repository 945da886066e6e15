// What a front end says: standard output, messages on standard error, tables, human sizes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wherry::cli {

// To standard output, whole. EPIPE is an error without a message for the user (see report_error).
Result<void> print(std::string_view text);
// One line to standard error: "wherry: MESSAGE", the hint below it. Errors of writing are ignored.
void report_error(const Error& error);
// "WARNING: ..." to standard error.
void report_warning(std::string_view text);
void print_error_text(std::string_view text);

// Docker's decimal sizes with three significant digits: "1.23GB", "77.8MB", "0B".
std::string human_size(uint64_t bytes);
// The first `length` code points, with "…" as the last when something was cut.
std::string ellipsis(std::string_view text, size_t length);
// Foreign text for a terminal: control characters become "?".
std::string printable(std::string_view text);

// Columns aligned with three spaces, at least ten wide as Docker's are; text behind the last tab of
// a line is not padded.
std::string align_columns(std::string_view text);

}  // namespace wherry::cli
