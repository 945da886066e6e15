// The syntax tree between the template parser, the evaluator and the functions. Not for others.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/template.h"

namespace wherry::cli::internal {

// A value is a shared pointer into the data (which outlives the rendering) or to something
// computed.
using Value = std::shared_ptr<const Json>;

struct Pipeline;

// One operand: a literal, a function's name, or a base with a chain of fields behind it.
struct Operand {
  enum class Kind { kLiteral, kDot, kVariable, kGroup, kFunction } kind = Kind::kDot;
  Value literal;
  std::string name;  // variable with its '$', or function
  std::unique_ptr<Pipeline> group;
  std::vector<std::string> fields;
};

struct Command {
  std::vector<Operand> operands;
};

struct Pipeline {
  std::vector<std::string> variables;  // one, or two in range
  bool declares = false;               // := (else =)
  std::vector<Command> commands;
};

struct TemplateNode {
  enum class Kind { kList, kText, kAction, kIf, kRange, kWith } kind = Kind::kList;
  std::string text;
  Pipeline pipeline;
  std::vector<std::unique_ptr<TemplateNode>> body;
  std::vector<std::unique_ptr<TemplateNode>> otherwise;
};

Error template_error(std::string_view what);

// --- values (template_functions.cc)
Value make_value(Json json);
bool is_true(const Json& value);
// As Go's %v prints it.
std::string to_text(const Json& value);
std::string_view type_word(const Json& value);

bool is_function(std::string_view name);
// What functions have produced so far is counted in `produced`, so that a template cannot square a
// string for ever. "and" and "or" are the evaluator's (they need not evaluate all arguments).
Result<Value> call_function(std::string_view name, const std::vector<Value>& arguments,
                            size_t& produced);

// The tree of a template's text (template_parse.cc).
Result<std::unique_ptr<TemplateNode>> parse_template(std::string_view text);

}  // namespace wherry::cli::internal
