// --format: an interpreter for the part of Go's text/template language that scripts use with
// Docker.
//
// Fields and chains over JSON values, index, range/with/if/else/end, variables, pipelines,
// comparisons, printf, and Docker's functions json split join title lower upper pad println
// truncate. What the language has beyond that (define, template, block, break, continue, call,
// html, js, urlquery) is refused by name. Pure: no I/O. A template is untrusted input: text,
// nesting, steps, and the bytes it may produce are bounded. Source:
// https://pkg.go.dev/text/template
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wherry::cli {

using Json = nlohmann::ordered_json;

inline constexpr size_t kMaxTemplateText = 65536;
inline constexpr int kMaxTemplateDepth = 64;
inline constexpr size_t kMaxTemplateSteps = 1'000'000;
inline constexpr size_t kMaxTemplateOutput = 16 << 20;

namespace internal {
struct TemplateNode;
}

struct TemplateContext {
  // Fields that Docker's model has and a record may lack: they are nil instead of an error.
  std::span<const std::string_view> optional_fields = {};
  // What `.Label "key"` reads; nullptr: the method does not exist.
  const Json* labels = nullptr;
  // Rendering a table's heading: `.Label "key"` is the key itself.
  bool heading = false;
};

class Template {
 public:
  // kInvalidArgument "template parsing error: ..." with what was expected.
  static Result<Template> parse(std::string_view text);
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

  Result<std::string> render(const Json& data, const TemplateContext& context = {}) const;

 private:
  explicit Template(std::unique_ptr<internal::TemplateNode> root);
  std::unique_ptr<internal::TemplateNode> root_;
};

}  // namespace wherry::cli
