#include "cli/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "sys/fd.h"

namespace wherry::cli {
namespace {

constexpr size_t kGap = 3;
constexpr size_t kMinColumn = 10;

size_t width_of(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

Result<void> print(std::string_view text) {
  auto written = sys::write_all(STDOUT_FILENO, text);
  if (!written) return fail(std::move(written), "standard output");
  return {};
}

void print_error_text(std::string_view text) {
  auto written = sys::write_all(STDERR_FILENO, text);
  // Nobody is left to tell when standard error itself cannot be written.
  static_cast<void>(written.has_value());
}

void report_error(const Error& error) {
  if (error.errnum() == EPIPE) return;
  std::string text = fmt::format("wherry: {}\n", error.message());
  if (!error.hint().empty()) text += fmt::format("  {}\n", error.hint());
  print_error_text(text);
}

void report_warning(std::string_view text) {
  print_error_text(fmt::format("WARNING: {}\n", text));
}

std::string human_size(uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1000.0 && unit + 1 < std::size(kUnits)) {
    value /= 1000.0;
    ++unit;
  }
  return fmt::format("{:.3g}{}", value, kUnits[unit]);
}

std::string ellipsis(std::string_view text, size_t length) {
  if (width_of(text) <= length) return std::string(text);
  if (length == 0) return {};
  size_t at = 0;
  for (size_t runes = 0; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) continue;
    if (runes++ == length - 1) break;
  }
  return std::string(text.substr(0, at)) + "…";
}

std::string printable(std::string_view text) {
  std::string safe(text);
  for (char& c : safe)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  return safe;
}

std::string align_columns(std::string_view text) {
  std::vector<std::string_view> lines = split(text, '\n');
  std::vector<size_t> widths;
  for (std::string_view line : lines) {
    std::vector<std::string_view> cells = split(line, '\t');
    for (size_t i = 0; i + 1 < cells.size(); ++i) {
      if (widths.size() <= i) widths.resize(i + 1);
      widths[i] = std::max(widths[i], width_of(cells[i]));
    }
  }
  std::string out;
  for (size_t n = 0; n < lines.size(); ++n) {
    std::vector<std::string_view> cells = split(lines[n], '\t');
    for (size_t i = 0; i < cells.size(); ++i) {
      out += cells[i];
      if (i + 1 < cells.size())
        out.append(std::max(widths[i] + kGap, kMinColumn) - width_of(cells[i]), ' ');
    }
    if (n + 1 < lines.size()) out += '\n';
  }
  return out;
}

}  // namespace wherry::cli
