#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/template_ast.h"

namespace wherry::cli {
namespace internal {
namespace {

Error eval_error(std::string_view what) {
  return Error(ErrorKind::kInvalidArgument, fmt::format("template: {}", what));
}

// A value inside another one, kept alive by it.
Value part_of(const Value& whole, const Json& part) {
  return Value(whole, &part);
}

class Evaluation {
 public:
  Evaluation(const Json& data, const TemplateContext& context)
      : root_(Value(), &data), context_(context) {
    variables_.emplace_back("$", root_);
  }

  using Nodes = std::vector<std::unique_ptr<TemplateNode>>;

  Result<void> nodes(const Nodes& list, const Value& dot) {
    for (const auto& node : list) TRY_VOID(one(*node, dot));
    return {};
  }

  std::string take_output() { return std::move(out_); }

 private:
  Result<void> step() {
    if (++steps_ > kMaxTemplateSteps) return limit_error("steps", kMaxTemplateSteps);
    return {};
  }
  static Error limit_error(std::string_view what, size_t limit) {
    return Error(ErrorKind::kResourceExhausted,
                 fmt::format("template: more than {} {}", limit, what));
  }

  Result<void> emit(std::string_view text) {
    if (out_.size() + text.size() > kMaxTemplateOutput)
      return limit_error("bytes of output", kMaxTemplateOutput);
    out_ += text;
    return {};
  }

  Result<void> one(const TemplateNode& node, const Value& dot) {
    TRY_VOID(step());
    size_t scope = variables_.size();
    Result<void> done = [&]() -> Result<void> {
      switch (node.kind) {
        case TemplateNode::Kind::kText:
          return emit(node.text);
        case TemplateNode::Kind::kAction:
          return action(node, dot);
        case TemplateNode::Kind::kIf:
        case TemplateNode::Kind::kWith:
          return conditional(node, dot);
        case TemplateNode::Kind::kRange:
          return range(node, dot);
        case TemplateNode::Kind::kList:
          return nodes(node.body, dot);
      }
      return {};
    }();
    if (node.kind != TemplateNode::Kind::kAction) variables_.resize(scope);
    return done;
  }

  Result<void> action(const TemplateNode& node, const Value& dot) {
    TRY(Value value, pipeline(node.pipeline, dot, true));
    if (!node.pipeline.variables.empty()) return {};
    return emit(to_text(*value));
  }

  Result<void> conditional(const TemplateNode& node, const Value& dot) {
    TRY(Value value, pipeline(node.pipeline, dot, true));
    if (!is_true(*value)) return nodes(node.otherwise, dot);
    return nodes(node.body, node.kind == TemplateNode::Kind::kWith ? value : dot);
  }

  Result<void> range(const TemplateNode& node, const Value& dot) {
    TRY(Value over, pipeline(node.pipeline, dot, false));
    std::vector<std::pair<Value, Value>> items;
    if (over->is_array()) {
      for (size_t i = 0; i < over->size(); ++i)
        items.emplace_back(make_value(i), part_of(over, (*over)[i]));
    } else if (over->is_object()) {
      for (auto item = over->begin(); item != over->end(); ++item)
        items.emplace_back(make_value(item.key()), part_of(over, item.value()));
      std::ranges::sort(items, {}, [](const auto& item) {
        return item.first->template get_ref<const std::string&>();
      });
    } else if (!over->is_null()) {
      return eval_error(fmt::format("range can't iterate over {}", to_text(*over)));
    }
    if (items.empty()) return nodes(node.otherwise, dot);
    for (const auto& [key, value] : items) {
      TRY_VOID(step());
      size_t scope = variables_.size();
      const auto& names = node.pipeline.variables;
      if (names.size() == 2) TRY_VOID(bind(names[0], key, node.pipeline.declares));
      if (!names.empty()) TRY_VOID(bind(names.back(), value, node.pipeline.declares));
      TRY_VOID(nodes(node.body, value));
      variables_.resize(scope);
    }
    return {};
  }

  Result<void> bind(const std::string& name, const Value& value, bool declares) {
    if (declares) {
      variables_.emplace_back(name, value);
      return {};
    }
    for (auto variable = variables_.rbegin(); variable != variables_.rend(); ++variable) {
      if (variable->first != name) continue;
      variable->second = value;
      return {};
    }
    return eval_error(fmt::format("undefined variable \"{}\"", name));
  }

  // `assign`: bind the pipeline's variables (range binds its own, per item).
  Result<Value> pipeline(const Pipeline& line, const Value& dot, bool assign) {
    TRY_VOID(step());
    Value value;
    for (const Command& command : line.commands) {
      TRY(value, run_command(command, dot, value));
    }
    if (assign && !line.variables.empty()) TRY_VOID(bind(line.variables[0], value, line.declares));
    return value;
  }

  // `piped`: the value of the command before, the last argument of this one; empty for the first.
  Result<Value> run_command(const Command& line, const Value& dot, const Value& piped) {
    TRY_VOID(step());
    const Operand& head = line.operands[0];
    if (head.kind == Operand::Kind::kFunction) return function(line, dot, piped);
    if (!head.fields.empty() && head.fields.back() == "Label" &&
        (context_.labels != nullptr || context_.heading))
      return label(line, dot, piped);
    if (line.operands.size() > 1 || piped)
      return eval_error(
          fmt::format("can't give arguments to '{}', which is not a function", describe(head)));
    return operand(head, dot);
  }

  Result<Value> function(const Command& line, const Value& dot, const Value& piped) {
    const std::string& name = line.operands[0].name;
    bool logic = name == "and" || name == "or";
    std::vector<Value> arguments;
    for (size_t i = 1; i < line.operands.size(); ++i) {
      TRY(Value value, operand(line.operands[i], dot));
      if (logic && is_true(*value) == (name == "or")) return value;
      arguments.push_back(std::move(value));
    }
    if (piped) arguments.push_back(piped);
    if (logic) {
      if (arguments.empty()) return eval_error(fmt::format("'{}' needs an argument", name));
      return arguments.back();
    }
    return call_function(name, arguments, produced_);
  }

  Result<Value> label(const Command& line, const Value& dot, const Value& piped) {
    std::vector<Value> arguments;
    for (size_t i = 1; i < line.operands.size(); ++i) {
      TRY(Value value, operand(line.operands[i], dot));
      arguments.push_back(std::move(value));
    }
    if (piped) arguments.push_back(piped);
    if (arguments.size() != 1 || !arguments[0]->is_string())
      return eval_error("'.Label' needs one string: the label's key");
    if (context_.heading) return arguments[0];
    auto found = context_.labels->find(arguments[0]->get_ref<const std::string&>());
    if (found == context_.labels->end()) return make_value("");
    return make_value(*found);
  }

  Result<Value> operand(const Operand& item, const Value& dot) {
    TRY_VOID(step());
    Value base;
    switch (item.kind) {
      case Operand::Kind::kLiteral:
        return item.literal;
      case Operand::Kind::kFunction:
        return call_function(item.name, {}, produced_);
      case Operand::Kind::kDot:
        base = dot;
        break;
      case Operand::Kind::kVariable: {
        TRY(base, variable(item.name));
        break;
      }
      case Operand::Kind::kGroup: {
        TRY(base, pipeline(*item.group, dot, true));
        break;
      }
    }
    for (const std::string& name : item.fields) {
      TRY(base, field(base, name));
    }
    return base;
  }

  Result<Value> variable(const std::string& name) {
    for (auto known = variables_.rbegin(); known != variables_.rend(); ++known)
      if (known->first == name) return known->second;
    return eval_error(fmt::format("undefined variable \"{}\"", name));
  }

  Result<Value> field(const Value& base, const std::string& name) {
    if (base->is_null()) return eval_error(fmt::format("nil value evaluating field '.{}'", name));
    if (!base->is_object())
      return eval_error(fmt::format("can't evaluate field {} in a {}", name, type_word(*base)));
    if (auto found = base->find(name); found != base->end()) return part_of(base, *found);
    if (std::ranges::find(context_.optional_fields, name) != context_.optional_fields.end())
      return make_value(nullptr);
    Error error = eval_error(fmt::format("map has no entry for key \"{}\"", name));
    std::vector<std::string_view> names;
    for (auto entry = base->begin(); entry != base->end(); ++entry) names.push_back(entry.key());
    if (auto near = nearest(name, names)) error.set_hint(fmt::format("did you mean '.{}'?", *near));
    return error;
  }

  static std::string describe(const Operand& item) {
    std::string text = item.kind == Operand::Kind::kLiteral ? to_text(*item.literal) : item.name;
    for (const std::string& name : item.fields) text += "." + name;
    return text.empty() ? "." : text;
  }

  Value root_;
  const TemplateContext& context_;
  std::vector<std::pair<std::string, Value>> variables_;
  std::string out_;
  size_t steps_ = 0;
  size_t produced_ = 0;
};

}  // namespace
}  // namespace internal

Template::Template(std::unique_ptr<internal::TemplateNode> root) : root_(std::move(root)) {}
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

Result<Template> Template::parse(std::string_view text) {
  TRY(auto root, internal::parse_template(text));
  return Template(std::move(root));
}

Result<std::string> Template::render(const Json& data, const TemplateContext& context) const {
  internal::Evaluation evaluation(data, context);
  TRY_VOID(evaluation.nodes(root_->body, internal::Value(internal::Value(), &data)));
  return evaluation.take_output();
}

}  // namespace wherry::cli
