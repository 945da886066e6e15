#include "cli/listing.h"

#include "cli/output.h"

namespace wherry::cli {
namespace {

// Docker lets a format say \t and \n without a shell's help.
std::string unescape(std::string_view format) {
  std::string text;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] == '\\' && i + 1 < format.size() &&
        (format[i + 1] == 't' || format[i + 1] == 'n')) {
      text += format[i + 1] == 't' ? '\t' : '\n';
      ++i;
    } else {
      text += format[i];
    }
  }
  return text;
}

Result<void> print_json_rows(const std::vector<Row>& rows) {
  std::string text;
  for (const Row& row : rows) {
    // Docker's own comes from a Go map: keys sorted.
    nlohmann::json sorted = row.fields;
    text += sorted.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }
  return print(text);
}

}  // namespace

Result<void> print_rows(const std::string& format, std::string_view default_table,
                        const Json& headings, const std::vector<Row>& rows) {
  if (format == "json") return print_json_rows(rows);
  bool table = format.empty() || format == "table" || format.starts_with("table ");
  std::string source = format.empty() || format == "table"
                           ? std::string(default_table)
                           : unescape(table ? std::string_view(format).substr(6) : format);
  TRY(Template program, Template::parse(source));
  std::string text;
  if (table) {
    TemplateContext context;
    context.heading = true;
    TRY(std::string heading, program.render(headings, context));
    text += heading + "\n";
  }
  for (const Row& row : rows) {
    TemplateContext context;
    if (row.labels.is_object()) context.labels = &row.labels;
    TRY(std::string line, program.render(row.fields, context));
    text += line + "\n";
  }
  return print(table ? align_columns(text) : text);
}

}  // namespace wherry::cli
