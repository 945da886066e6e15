#include "build/dockerfile_parts.h"

#include <algorithm>

#include "base/text.h"
#include "build/dockerfile_words.h"
#include "build/mount.h"

namespace wherry::build {
namespace {

using Texts = std::vector<std::string>;
using Kind = FlagSpec::Kind;

constexpr size_t kMaxWords = 10'000;

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

// What the functions below get: the arguments behind the flags.
struct Parts {
  std::string name;  // upper case
  std::string_view rest;
  std::vector<Flag> flags;
  const std::vector<Heredoc>* heredocs;
  char escape;

  const std::string* flag(std::string_view wanted) const {
    auto found = std::ranges::find(flags, wanted, &Flag::name);
    return found == flags.end() ? nullptr : &found->value;
  }
  std::optional<std::string> text_flag(std::string_view wanted) const {
    const std::string* value = flag(wanted);
    return value == nullptr ? std::nullopt : std::optional<std::string>(*value);
  }
  std::optional<bool> bool_flag(std::string_view wanted) const {
    const std::string* value = flag(wanted);
    return value == nullptr ? std::nullopt : std::optional<bool>(*value == "true");
  }
  Texts list_flag(std::string_view wanted) const {
    Texts values;
    for (const Flag& flag : flags)
      if (flag.name == wanted) values.push_back(flag.value);
    return values;
  }
};

Error no_argument(const Parts& parts) {
  return invalid(parts.name + " requires at least one argument");
}

Result<void> need_argument(const Parts& parts) {
  if (parts.rest.empty()) return no_argument(parts);
  return {};
}

Result<std::string> one_argument(const Parts& parts) {
  if (parts.rest.empty()) return invalid(parts.name + " requires exactly one argument");
  return std::string(parts.rest);
}

Command command_of(std::string_view text) {
  if (auto list = json_texts(text)) return {true, std::move(*list), {}};
  return {false, {}, std::string(text)};
}

Texts list_or_words(std::string_view text) {
  if (auto list = json_texts(text)) return std::move(*list);
  return blank_words(text);
}

// ---- FROM, RUN, COPY

bool is_stage_name(std::string_view name) {
  if (name.empty() || name.size() > 128 || name.front() < 'a' || name.front() > 'z') return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
}

Result<Instruction::What> read_from(const Parts& parts) {
  Texts words = blank_words(parts.rest);
  bool named = words.size() == 3 && to_lower(words[1]) == "as";
  if (!named && words.size() != 1) return invalid("FROM requires either one or three arguments");
  From from{words[0], parts.text_flag("platform").value_or(""), {}};
  if (named) {
    from.name = to_lower(words[2]);
    if (!is_stage_name(from.name))
      return invalid("invalid name for build stage: \"" + words[2].substr(0, 200) +
                     "\", name can't start with a number or contain symbols");
  }
  return from;
}

// Heredocs: a lone one is the script, others go back behind the text that names them.
void add_heredocs(Run& run) {
  std::string& text = run.command.text;
  if (run.heredocs.size() == 1 && as_heredoc(text)) {
    text = run.heredocs.front().body;
    run.script = text.starts_with("#!");
    return;
  }
  for (const Heredoc& heredoc : run.heredocs) text += "\n" + heredoc.body + heredoc.name;
}

Result<void> read_run_flags(const Parts& parts, Run& run) {
  for (const std::string& text : parts.list_flag("mount")) {
    TRY(Mount mount, read_mount(text, nullptr));
    run.mounts.push_back({text, mount.from});
  }
  if (const std::string* network = parts.flag("network")) {
    constexpr std::string_view kModes[] = {"default", "none", "host"};
    const auto* found = std::ranges::find(kModes, *network);
    if (found == std::end(kModes))
      return invalid("unsupported network mode '" + *network + "'" +
                     did_you_mean(*network, kModes));
    run.network = static_cast<RunNetwork>(found - std::begin(kModes));
  }
  if (const std::string* security = parts.flag("security")) {
    if (*security != "sandbox" && *security != "insecure")
      return invalid("security '" + *security + "' is not valid")
          .set_hint("it is sandbox or insecure");
    run.insecure = *security == "insecure";
  }
  return {};
}

Result<Instruction::What> read_run(const Parts& parts) {
  TRY_VOID(need_argument(parts));
  Run run;
  TRY_VOID(read_run_flags(parts, run));
  run.command = command_of(parts.rest);
  if (run.command.exec && run.command.list.empty()) return no_argument(parts);
  if (!run.command.exec) {
    run.heredocs = *parts.heredocs;
    if (!run.heredocs.empty()) add_heredocs(run);
  }
  return run;
}

Result<void> read_copy_flags(const Parts& parts, Copy& copy) {
  copy.from = parts.text_flag("from").value_or("");
  if (copy.from.find('$') != std::string::npos)
    return invalid(
        "variable expansion is not supported for --from, define a new stage with FROM using ARG "
        "from global scope as a workaround");
  if (parts.flag("from") != nullptr && copy.from.empty())
    return invalid("missing a value on flag: from");
  copy.chown = parts.text_flag("chown");
  copy.chmod = parts.text_flag("chmod");
  copy.checksum = parts.text_flag("checksum");
  copy.exclude = parts.list_flag("exclude");
  copy.link = parts.bool_flag("link").value_or(false);
  copy.parents = parts.bool_flag("parents").value_or(false);
  copy.unpack = parts.bool_flag("unpack");
  copy.keep_git_dir = parts.bool_flag("keep-git-dir");
  return {};
}

// "<< EOF" is one word, for find_heredocs() too.
Texts copy_words(const Parts& parts) {
  Texts words = list_or_words(parts.rest);
  if (parts.heredocs->empty()) return words;
  Texts joined;
  for (std::string& word : words) {
    bool open =
        !joined.empty() && (joined.back().ends_with("<<") || joined.back().ends_with("<<-"));
    if (open) {
      joined.back() += word;
    } else {
      joined.push_back(std::move(word));
    }
  }
  return joined;
}

Result<Instruction::What> read_copy(const Parts& parts) {
  Copy copy;
  copy.add = parts.name == "ADD";
  TRY_VOID(read_copy_flags(parts, copy));
  Texts words = copy_words(parts);
  if (words.size() < 2)
    return invalid(parts.name +
                   " requires at least two arguments, but only one was provided. Destination could "
                   "not be determined");
  copy.destination = std::move(words.back());
  words.pop_back();
  if (!parts.heredocs->empty() && as_heredoc(copy.destination))
    return invalid(parts.name + " cannot accept a heredoc as a destination");
  size_t next = 0;
  for (std::string& word : words) {
    bool heredoc = next < parts.heredocs->size() && as_heredoc(word);
    if (heredoc) {
      copy.heredocs.push_back((*parts.heredocs)[next++]);
    } else {
      copy.sources.push_back(std::move(word));
    }
  }
  if (next != parts.heredocs->size()) return invalid("a heredoc's name cannot have blanks");
  return copy;
}

// ---- names and values

// "k=v k2=v2", or "k all of the rest".
Result<std::vector<Pair>> read_pairs(const Parts& parts) {
  TRY_VOID(need_argument(parts));
  Texts words = quoted_words(parts.rest, parts.escape);
  std::vector<Pair> pairs;
  if (words.front().find('=') == std::string::npos) {
    std::string_view value = trim(parts.rest.substr(words.front().size()));
    if (value.empty()) return invalid(parts.name + " must have two arguments");
    pairs.push_back({words.front(), std::string(value)});
    return pairs;
  }
  for (const std::string& word : words) {
    auto [name, value] = split_once(word, '=');
    if (!value)
      return invalid("Syntax error - can't find = in \"" + word.substr(0, 200) +
                     "\". Must be of the form: name=value");
    if (name.empty()) return invalid(parts.name + " names can not be blank");
    pairs.push_back({std::string(name), std::string(*value)});
  }
  return pairs;
}

template <typename Pairs>
Result<Instruction::What> read_named(const Parts& parts) {
  TRY(std::vector<Pair> pairs, read_pairs(parts));
  return Pairs{std::move(pairs)};
}

Result<Instruction::What> read_arg(const Parts& parts) {
  TRY_VOID(need_argument(parts));
  Arg arg;
  for (const std::string& word : quoted_words(parts.rest, parts.escape)) {
    auto [name, value] = split_once(word, '=');
    if (name.empty()) return invalid("ARG names can not be blank");
    Arg::Item item{std::string(name), std::nullopt};
    if (value) item.value = std::string(*value);
    arg.items.push_back(std::move(item));
  }
  return arg;
}

// ---- the rest

// WORKDIR, USER, STOPSIGNAL, MAINTAINER.
template <typename OneText>
Result<Instruction::What> read_text(const Parts& parts) {
  TRY(std::string text, one_argument(parts));
  return OneText{std::move(text)};
}

// CMD, ENTRYPOINT.
template <typename Program>
Result<Instruction::What> read_program(const Parts& parts) {
  TRY_VOID(need_argument(parts));
  return Program{command_of(parts.rest)};
}

Result<Instruction::What> read_expose(const Parts& parts) {
  TRY_VOID(need_argument(parts));
  return Expose{blank_words(parts.rest)};
}

Result<Instruction::What> read_volume(const Parts& parts) {
  TRY_VOID(need_argument(parts));
  Texts paths = list_or_words(parts.rest);
  if (paths.empty()) return no_argument(parts);
  for (const std::string& path : paths)
    if (trim(path).empty()) return invalid("VOLUME specified can not be an empty string");
  return Volume{std::move(paths)};
}

Result<Instruction::What> read_shell(const Parts& parts) {
  TRY_VOID(need_argument(parts));
  auto list = json_texts(parts.rest);
  if (!list) return invalid("SHELL requires the arguments to be in JSON form");
  if (list->empty()) return no_argument(parts);
  return Shell{std::move(*list)};
}

Result<int64_t> interval(const Parts& parts, std::string_view flag) {
  const std::string* text = parts.flag(flag);
  if (text == nullptr) return 0;
  TRY_CTX(int64_t nanoseconds, parse_duration(*text), "--" + std::string(flag));
  if (nanoseconds != 0 && nanoseconds < 1'000'000)
    return invalid("Interval \"" + std::string(flag) + "\" cannot be less than 1ms");
  return nanoseconds;
}

Result<void> read_health_flags(const Parts& parts, oci::Healthcheck& check) {
  TRY(check.interval_ns, interval(parts, "interval"));
  TRY(check.timeout_ns, interval(parts, "timeout"));
  TRY(check.start_period_ns, interval(parts, "start-period"));
  TRY(check.start_interval_ns, interval(parts, "start-interval"));
  const std::string* retries = parts.flag("retries");
  if (retries == nullptr) return {};
  auto number = parse_i64(*retries);
  if (!number || *number > INT32_MAX || *number < INT32_MIN)
    return invalid("--retries: '" + *retries + "' is not a number");
  if (*number < 0) return invalid("--retries cannot be negative (" + *retries + ")");
  check.retries = *number;
  return {};
}

Result<Instruction::What> read_healthcheck(const Parts& parts) {
  TRY_VOID(need_argument(parts));
  size_t end = std::min(parts.rest.find_first_of(" \t"), parts.rest.size());
  std::string type(parts.rest.substr(0, end));
  std::ranges::transform(type, type.begin(), [](unsigned char c) { return toupper(c); });
  std::string_view text = trim(parts.rest.substr(end));
  oci::Healthcheck check;
  if (type == "NONE") {
    if (!text.empty() || !parts.flags.empty())
      return invalid("HEALTHCHECK NONE takes no arguments");
    check.test = {"NONE"};
    return Healthcheck{std::move(check)};
  }
  if (type != "CMD") return invalid("Unknown type \"" + type + "\" in HEALTHCHECK (try CMD)");
  TRY_VOID(read_health_flags(parts, check));
  Command command = command_of(text);
  if (text.empty() || (command.exec && command.list.empty()))
    return invalid("Missing command after HEALTHCHECK CMD");
  check.test = {command.exec ? "CMD" : "CMD-SHELL"};
  if (!command.exec) command.list = {command.text};
  check.test.insert(check.test.end(), command.list.begin(), command.list.end());
  return Healthcheck{std::move(check)};
}

Result<Instruction::What> read_onbuild(const Parts& parts) {
  TRY_VOID(need_argument(parts));
  std::string name(parts.rest.substr(0, parts.rest.find_first_of(" \t")));
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return toupper(c); });
  TRY_VOID(check_trigger(name));
  Onbuild onbuild{std::string(parts.rest)};
  for (const Heredoc& heredoc : *parts.heredocs)
    onbuild.trigger += "\n" + heredoc.body + heredoc.name;
  TRY(Instruction trigger, parse_trigger(onbuild.trigger, {}));
  return onbuild;
}

constexpr FlagSpec kFromFlags[] = {{Kind::kText, "platform"}};
constexpr FlagSpec kRunFlags[] = {
    {Kind::kList, "mount"}, {Kind::kText, "network"}, {Kind::kText, "security"}};
constexpr FlagSpec kCopyFlags[] = {{Kind::kText, "from"},    {Kind::kText, "chown"},
                                   {Kind::kText, "chmod"},   {Kind::kBool, "link"},
                                   {Kind::kBool, "parents"}, {Kind::kList, "exclude"}};
constexpr FlagSpec kAddFlags[] = {{Kind::kText, "chown"},       {Kind::kText, "chmod"},
                                  {Kind::kBool, "link"},        {Kind::kList, "exclude"},
                                  {Kind::kText, "checksum"},    {Kind::kBool, "unpack"},
                                  {Kind::kBool, "keep-git-dir"}};
constexpr FlagSpec kHealthFlags[] = {{Kind::kText, "interval"},
                                     {Kind::kText, "timeout"},
                                     {Kind::kText, "start-period"},
                                     {Kind::kText, "start-interval"},
                                     {Kind::kText, "retries"}};

struct Known {
  std::string_view name;
  std::span<const FlagSpec> flags;
  Result<Instruction::What> (*read)(const Parts&);
};
constexpr Known kKnown[] = {
    {"ADD", kAddFlags, read_copy},
    {"ARG", {}, read_arg},
    {"CMD", {}, read_program<Cmd>},
    {"COPY", kCopyFlags, read_copy},
    {"ENTRYPOINT", {}, read_program<Entrypoint>},
    {"ENV", {}, read_named<Env>},
    {"EXPOSE", {}, read_expose},
    {"FROM", kFromFlags, read_from},
    {"HEALTHCHECK", kHealthFlags, read_healthcheck},
    {"LABEL", {}, read_named<Label>},
    {"MAINTAINER", {}, read_text<Maintainer>},
    {"ONBUILD", {}, read_onbuild},
    {"RUN", kRunFlags, read_run},
    {"SHELL", {}, read_shell},
    {"STOPSIGNAL", {}, read_text<StopSignal>},
    {"USER", {}, read_text<User>},
    {"VOLUME", {}, read_volume},
    {"WORKDIR", {}, read_text<Workdir>},
};

Error unknown_instruction(const std::string& word, std::string_view name) {
  std::vector<std::string_view> names;
  for (const Known& known : kKnown) names.push_back(known.name);
  return invalid("unknown instruction: " + word.substr(0, 100) + did_you_mean(name, names));
}

// "RUN <<EOF (apt-get update...)": one line, whatever the heredocs hold.
std::string shown(const Parts& parts, const LogicalLine& line) {
  std::string text = parts.name + (line.rest.empty() ? "" : " " + line.rest);
  std::ranges::replace_if(text, [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  if (!line.heredocs.empty()) {
    std::string_view body = trim(line.heredocs.front().body);
    size_t end = body.find('\n');
    if (!body.empty())
      text += " (" + std::string(body.substr(0, std::min<size_t>(end, 80))) +
              (end == body.npos && body.size() <= 80 ? ")" : "...)");
  }
  return text;
}

}  // namespace

Result<void> check_trigger(std::string_view name) {
  if (name == "ONBUILD") return invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (name == "FROM" || name == "MAINTAINER")
    return invalid(std::string(name) + " isn't allowed as an ONBUILD trigger");
  return {};
}

Result<Instruction> read_parts(const LogicalLine& line, char escape) {
  Parts parts{line.word, line.rest, {}, &line.heredocs, escape};
  std::ranges::transform(parts.name, parts.name.begin(),
                         [](unsigned char c) { return toupper(c); });
  const auto* known = std::ranges::find(kKnown, parts.name, &Known::name);
  if (known == std::end(kKnown)) return unknown_instruction(line.word, parts.name);
  TRY(parts.flags, take_flags(parts.rest, known->flags, escape));
  if (std::ranges::count(parts.rest, ' ') > static_cast<ptrdiff_t>(kMaxWords) &&
      known->read != read_run && blank_words(parts.rest).size() > kMaxWords)
    return Error(ErrorKind::kResourceExhausted, "the instruction has more than 10000 words");
  TRY(Instruction::What what, known->read(parts));
  return Instruction{line.place, parts.name, shown(parts, line), std::move(what)};
}

}  // namespace wherry::build
