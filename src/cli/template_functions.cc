#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "base/text.h"
#include "cli/template_ast.h"

namespace wherry::cli::internal {
namespace {

constexpr size_t kMaxPadding = 4096;
constexpr size_t kMaxProduced = 64 << 20;

Error usage(std::string_view function, std::string_view what) {
  return Error(ErrorKind::kInvalidArgument, fmt::format("template: {}: {}", function, what));
}

using Arguments = std::vector<Value>;

// --- text of values

std::string list_text(const Json& array) {
  std::string text = "[";
  for (const Json& item : array) {
    if (text.size() > 1) text += ' ';
    text += to_text(item);
    if (text.size() > kMaxTemplateOutput) break;
  }
  return text + "]";
}

std::string map_text(const Json& object) {
  std::vector<std::pair<std::string_view, const Json*>> items;
  for (auto item = object.begin(); item != object.end(); ++item)
    items.emplace_back(item.key(), &item.value());
  std::ranges::sort(items, {}, [](const auto& item) { return item.first; });
  std::string text = "map[";
  for (const auto& [key, value] : items) {
    if (text.size() > 4) text += ' ';
    text += fmt::format("{}:{}", key, to_text(*value));
    if (text.size() > kMaxTemplateOutput) break;
  }
  return text + "]";
}

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Length in code points: Go counts runes in padding and truncation.
size_t rune_count(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string_view first_runes(std::string_view text, size_t count) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) continue;
    if (count-- == 0) break;
  }
  return text.substr(0, at);
}

// --- comparisons

Result<bool> equal(const Json& a, const Json& b) {
  if (a.is_null() || b.is_null()) return a.is_null() && b.is_null();
  if (a.is_number() && b.is_number()) return a == b;
  if (a.type() != b.type())
    return usage("eq", fmt::format("incompatible types for comparison: {} and {}", type_word(a),
                                   type_word(b)));
  if (a.is_structured()) return usage("eq", "non-comparable type");
  return a == b;
}

Result<bool> less(std::string_view name, const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return a < b;
  if (a.is_string() && b.is_string()) return a < b;
  return usage(name, "incompatible types for comparison");
}

Result<Value> compare(std::string_view name, const Arguments& arguments) {
  if (arguments.size() < 2) return usage(name, "needs two arguments");
  if (name == "eq") {
    for (size_t i = 1; i < arguments.size(); ++i) {
      TRY(bool same, equal(*arguments[0], *arguments[i]));
      if (same) return make_value(true);
    }
    return make_value(false);
  }
  if (arguments.size() != 2) return usage(name, "needs two arguments");
  const Json& a = *arguments[0];
  const Json& b = *arguments[1];
  if (name == "ne") {
    TRY(bool same, equal(a, b));
    return make_value(!same);
  }
  bool swapped = name == "gt" || name == "le";
  TRY(bool is_less, less(name, swapped ? b : a, swapped ? a : b));
  return make_value(name == "lt" || name == "gt" ? is_less : !is_less);
}

// --- collections

Result<Value> length(const Arguments& arguments) {
  if (arguments.size() != 1) return usage("len", "needs one argument");
  const Json& value = *arguments[0];
  if (value.is_string()) return make_value(value.get_ref<const std::string&>().size());
  if (value.is_null()) return make_value(0);
  if (!value.is_structured()) return usage("len", fmt::format("of a {}", type_word(value)));
  return make_value(value.size());
}

Result<Value> index_map(const Value& map, const Json& key) {
  if (!key.is_string()) return usage("index", "the key of a map must be a string");
  if (auto found = map->find(key.get_ref<const std::string&>()); found != map->end())
    return Value(map, &*found);
  // Go gives the zero value of the map's type: text for labels, nil for others.
  bool texts = std::ranges::all_of(*map, [](const Json& item) { return item.is_string(); });
  return texts ? make_value("") : make_value(nullptr);
}

Result<Value> index(const Arguments& arguments) {
  if (arguments.empty()) return usage("index", "needs a value");
  Value value = arguments[0];
  for (size_t i = 1; i < arguments.size(); ++i) {
    const Json& key = *arguments[i];
    if (value->is_object()) {
      TRY(value, index_map(value, key));
    } else if (value->is_null() && key.is_string()) {
      value = make_value("");
    } else if (value->is_array() || value->is_string()) {
      size_t size = value->is_array() ? value->size() : value->get_ref<const std::string&>().size();
      if (!key.is_number_integer()) return usage("index", "the index of a list must be an integer");
      int64_t at = key.get<int64_t>();
      if (at < 0 || static_cast<uint64_t>(at) >= size)
        return usage("index", fmt::format("index out of range: {}", at));
      auto position = static_cast<size_t>(at);
      value = value->is_array() ? Value(value, &(*value)[position])
                                : make_value(static_cast<unsigned char>(
                                      value->get_ref<const std::string&>()[position]));
    } else {
      return usage("index", fmt::format("can't index a {}", type_word(*value)));
    }
  }
  return value;
}

// --- strings

Result<std::string> string_argument(std::string_view name, const Arguments& arguments, size_t at) {
  if (at >= arguments.size()) return usage(name, "too few arguments");
  if (!arguments[at]->is_string())
    return usage(name, fmt::format("expected a string; found a {}", type_word(*arguments[at])));
  return arguments[at]->get<std::string>();
}

Result<size_t> size_argument(std::string_view name, const Arguments& arguments, size_t at) {
  if (at >= arguments.size()) return usage(name, "too few arguments");
  if (!arguments[at]->is_number_integer()) return usage(name, "expected an integer");
  int64_t value = arguments[at]->get<int64_t>();
  if (value < 0 || value > static_cast<int64_t>(kMaxTemplateOutput))
    return usage(name, fmt::format("{} is out of range", value));
  return static_cast<size_t>(value);
}

Result<Value> split_text(const Arguments& arguments) {
  TRY(std::string text, string_argument("split", arguments, 0));
  TRY(std::string separator, string_argument("split", arguments, 1));
  Json parts = Json::array();
  if (separator.empty()) {
    for (std::string_view rest = text; !rest.empty();) {
      std::string_view rune = first_runes(rest, 1);
      parts.push_back(std::string(rune));
      rest.remove_prefix(std::max<size_t>(1, rune.size()));
    }
    return make_value(std::move(parts));
  }
  size_t begin = 0;
  for (size_t at = text.find(separator); at != text.npos; at = text.find(separator, begin)) {
    parts.push_back(text.substr(begin, at - begin));
    begin = at + separator.size();
  }
  parts.push_back(text.substr(begin));
  return make_value(std::move(parts));
}

Result<Value> join_list(const Arguments& arguments) {
  TRY(std::string separator, string_argument("join", arguments, 1));
  const Json& list = *arguments[0];
  if (list.is_null()) return make_value("");
  if (!list.is_array())
    return usage("join", fmt::format("expected a list; found a {}", type_word(list)));
  std::string text;
  for (size_t i = 0; i < list.size(); ++i) {
    if (i > 0) text += separator;
    text += to_text(list[i]);
    if (text.size() > kMaxTemplateOutput) return usage("join", "the result is too long");
  }
  return make_value(std::move(text));
}

Result<Value> change_case(std::string_view name, const Arguments& arguments) {
  TRY(std::string text, string_argument(name, arguments, 0));
  bool start = true;
  for (char& c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      if (name == "lower") c = static_cast<char>(std::tolower(byte));
      if (name == "upper" || (name == "title" && start)) c = static_cast<char>(std::toupper(byte));
    }
    start = byte < 0x80 && std::isspace(byte) != 0;
  }
  return make_value(std::move(text));
}

Result<Value> pad(const Arguments& arguments) {
  TRY(std::string text, string_argument("pad", arguments, 0));
  TRY(size_t before, size_argument("pad", arguments, 1));
  TRY(size_t after, size_argument("pad", arguments, 2));
  if (before > kMaxPadding || after > kMaxPadding)
    return usage("pad", fmt::format("more than {} spaces", kMaxPadding));
  if (text.empty()) return make_value("");
  return make_value(std::string(before, ' ') + text + std::string(after, ' '));
}

Result<Value> truncate(const Arguments& arguments) {
  TRY(std::string text, string_argument("truncate", arguments, 0));
  TRY(size_t length, size_argument("truncate", arguments, 1));
  return make_value(std::string(first_runes(text, length)));
}

std::string print(const Arguments& arguments, bool line) {
  std::string text;
  for (size_t i = 0; i < arguments.size(); ++i) {
    bool space = line || (i > 0 && !arguments[i]->is_string() && !arguments[i - 1]->is_string());
    if (i > 0 && space) text += ' ';
    text += to_text(*arguments[i]);
  }
  if (line) text += '\n';
  return text;
}

// --- printf

struct Verb {
  bool left = false, zero = false, plus = false, sharp = false, space = false;
  size_t width = 0;
  std::optional<size_t> precision;
  char letter = 0;
};

std::string json_quoted(std::string_view text) {
  return dump(Json(std::string(text)));
}

std::string bad_verb(const Verb& verb, const Json& value) {
  return fmt::format("%!{}({}={})", verb.letter, type_word(value), to_text(value));
}

std::string format_integer(const Verb& verb, const Json& value) {
  if (!value.is_number_integer()) return bad_verb(verb, value);
  bool negative = !value.is_number_unsigned() && value.get<int64_t>() < 0;
  uint64_t magnitude =
      negative ? 0 - static_cast<uint64_t>(value.get<int64_t>()) : value.get<uint64_t>();
  std::string sign = negative ? "-" : verb.plus ? "+" : verb.space ? " " : "";
  switch (verb.letter) {
    case 'x':
      return sign + fmt::format("{}{:x}", verb.sharp ? "0x" : "", magnitude);
    case 'X':
      return sign + fmt::format("{}{:X}", verb.sharp ? "0X" : "", magnitude);
    case 'o':
      return sign + fmt::format("{:o}", magnitude);
    case 'b':
      return sign + fmt::format("{:b}", magnitude);
    default:
      return sign + fmt::format("{}", magnitude);
  }
}

std::string format_real(const Verb& verb, const Json& value) {
  if (!value.is_number()) return bad_verb(verb, value);
  int precision = static_cast<int>(verb.precision.value_or(6));
  double real = value.get<double>();
  if (verb.letter == 'g' && !verb.precision) return fmt::format("{}", real);
  if (verb.letter == 'g') return fmt::format("{:.{}g}", real, precision);
  if (verb.letter == 'e') return fmt::format("{:.{}e}", real, precision);
  return fmt::format("{:.{}f}", real, precision);
}

std::string format_one(const Verb& verb, const Json& value) {
  switch (verb.letter) {
    case 'v':
      return to_text(value);
    case 's': {
      std::string text = to_text(value);
      return verb.precision ? std::string(first_runes(text, *verb.precision)) : text;
    }
    case 'q':
      return value.is_string() ? json_quoted(value.get_ref<const std::string&>())
                               : bad_verb(verb, value);
    case 't':
      return value.is_boolean() ? to_text(value) : bad_verb(verb, value);
    case 'x':
    case 'X':
      if (value.is_string()) {
        const auto& text = value.get_ref<const std::string&>();
        std::string hex =
            to_hex({reinterpret_cast<const unsigned char*>(text.data()), text.size()});
        if (verb.letter == 'X')
          for (char& c : hex) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
        return hex;
      }
      return format_integer(verb, value);
    case 'd':
    case 'o':
    case 'b':
      return format_integer(verb, value);
    case 'f':
    case 'g':
    case 'e':
      return format_real(verb, value);
    case 'T':
      return std::string(type_word(value));
    default:
      return bad_verb(verb, value);
  }
}

std::string padded(const Verb& verb, std::string text) {
  size_t runes = rune_count(text);
  if (runes >= verb.width) return text;
  size_t missing = verb.width - runes;
  if (verb.left) return text + std::string(missing, ' ');
  bool zeros =
      verb.zero && std::string_view("dxXobfge").find(verb.letter) != std::string_view::npos;
  if (!zeros) return std::string(missing, ' ') + text;
  size_t sign = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  return text.insert(sign, missing, '0');
}

Result<size_t> read_count(std::string_view format, size_t& at) {
  size_t count = 0;
  for (; at < format.size() && format[at] >= '0' && format[at] <= '9'; ++at) {
    count = count * 10 + static_cast<size_t>(format[at] - '0');
    if (count > kMaxPadding) return usage("printf", "a width or precision is too large");
  }
  return count;
}

Result<Verb> read_verb(std::string_view format, size_t& at) {
  Verb verb;
  for (; at < format.size(); ++at) {
    char c = format[at];
    if (c == '-')
      verb.left = true;
    else if (c == '0')
      verb.zero = true;
    else if (c == '+')
      verb.plus = true;
    else if (c == '#')
      verb.sharp = true;
    else if (c == ' ')
      verb.space = true;
    else
      break;
  }
  TRY(verb.width, read_count(format, at));
  if (at < format.size() && format[at] == '.') {
    ++at;
    TRY(size_t precision, read_count(format, at));
    verb.precision = precision;
  }
  if (at >= format.size()) return usage("printf", "the format ends inside a verb");
  verb.letter = format[at];
  if (verb.letter == '*' || verb.letter == '[')
    return usage("printf", fmt::format("'{}' in a verb is not supported", verb.letter));
  return verb;
}

Result<Value> print_formatted(const Arguments& arguments) {
  TRY(std::string format, string_argument("printf", arguments, 0));
  std::string out;
  size_t used = 1;
  for (size_t at = 0; at < format.size(); ++at) {
    if (format[at] != '%') {
      out += format[at];
      continue;
    }
    ++at;
    TRY(Verb verb, read_verb(format, at));
    if (verb.letter == '%') {
      out += '%';
    } else if (used >= arguments.size()) {
      out += fmt::format("%!{}(MISSING)", verb.letter);
    } else {
      out += padded(verb, format_one(verb, *arguments[used++]));
    }
    if (out.size() > kMaxTemplateOutput) return usage("printf", "the result is too long");
  }
  if (used < arguments.size()) {
    out += "%!(EXTRA ";
    for (size_t i = used; i < arguments.size(); ++i)
      out += fmt::format("{}{}={}", i > used ? ", " : "", type_word(*arguments[i]),
                         to_text(*arguments[i]));
    out += ')';
  }
  return make_value(std::move(out));
}

Result<Value> dispatch(std::string_view name, const Arguments& arguments) {
  if (name == "eq" || name == "ne" || name == "lt" || name == "le" || name == "gt" || name == "ge")
    return compare(name, arguments);
  if (name == "len") return length(arguments);
  if (name == "index") return index(arguments);
  if (name == "split") return split_text(arguments);
  if (name == "join") return join_list(arguments);
  if (name == "lower" || name == "upper" || name == "title") return change_case(name, arguments);
  if (name == "pad") return pad(arguments);
  if (name == "truncate") return truncate(arguments);
  if (name == "printf") return print_formatted(arguments);
  if (name == "print") return make_value(print(arguments, false));
  if (name == "println") return make_value(print(arguments, true));
  if (arguments.size() != 1) return usage(name, "needs one argument");
  if (name == "not") return make_value(!is_true(*arguments[0]));
  return make_value(dump(*arguments[0]));  // json
}

constexpr std::string_view kFunctions[] = {
    "and", "or",       "not",    "eq",    "ne",      "lt",    "le",    "gt",
    "ge",  "len",      "index",  "split", "join",    "lower", "upper", "title",
    "pad", "truncate", "printf", "print", "println", "json"};

}  // namespace

Value make_value(Json json) {
  return std::make_shared<const Json>(std::move(json));
}

bool is_true(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return false;
    case Json::value_t::boolean:
      return value.get<bool>();
    case Json::value_t::string:
      return !value.get_ref<const std::string&>().empty();
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
    case Json::value_t::number_float:
      return value != 0;
    default:
      return !value.empty();
  }
}

std::string to_text(const Json& value) {
  if (value.is_null()) return "<no value>";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array()) return list_text(value);
  if (value.is_object()) return map_text(value);
  if (value.is_number_float()) return fmt::format("{}", value.get<double>());
  return dump(value);
}

std::string_view type_word(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return "nil";
    case Json::value_t::boolean:
      return "bool";
    case Json::value_t::string:
      return "string";
    case Json::value_t::number_float:
      return "float64";
    case Json::value_t::array:
      return "list";
    case Json::value_t::object:
      return "map";
    default:
      return "int";
  }
}

bool is_function(std::string_view name) {
  return std::ranges::find(kFunctions, name) != std::end(kFunctions);
}

Result<Value> call_function(std::string_view name, const Arguments& arguments, size_t& produced) {
  TRY(Value value, dispatch(name, arguments));
  if (value->is_string()) produced += value->get_ref<const std::string&>().size();
  if (value->is_array() && name == "split") produced += value->size() * sizeof(Json);
  if (produced > kMaxProduced)
    return Error(ErrorKind::kResourceExhausted,
                 fmt::format("template: functions made more than {} bytes", kMaxProduced));
  return value;
}

}  // namespace wherry::cli::internal
