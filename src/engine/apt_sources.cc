#include "engine/apt_sources.h"

#include <map>
#include <optional>

#include "base/text.h"

namespace wherry::engine {
namespace {

constexpr size_t kMaxLines = 10000;

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> list;
  size_t begin = 0;
  while ((begin = text.find_first_not_of(" \t", begin)) != std::string_view::npos) {
    size_t end = text.find_first_of(" \t", begin);
    list.emplace_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) break;
    begin = end;
  }
  return list;
}

// deb [ option=value ... ] uri suite component...
std::optional<AptSource> parse_line(std::string_view line) {
  line = line.substr(0, line.find('#'));
  if (!line.starts_with("deb ") && !line.starts_with("deb\t")) return std::nullopt;
  line = trim(line.substr(4));
  AptSource source;
  if (line.starts_with('[')) {
    size_t close = line.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    for (const std::string& option : words(line.substr(1, close - 1))) {
      auto [key, value] = split_once(option, '=');
      if (value) source.options.emplace_back(key, *value);
    }
    line = trim(line.substr(close + 1));
  }
  std::vector<std::string> parts = words(line);
  if (parts.size() < 2 || !parts[0].contains(':')) return std::nullopt;
  source.uri = parts[0];
  source.suite = parts[1];
  source.components.assign(parts.begin() + 2, parts.end());
  return source;
}

using Stanza = std::map<std::string, std::string>;

std::vector<Stanza> stanzas(std::string_view text) {
  std::vector<Stanza> list(1);
  std::string last;
  for (std::string_view line : split(text, '\n')) {
    if (line.starts_with('#')) continue;
    if (trim(line).empty()) {
      if (!list.back().empty()) list.emplace_back();
      last.clear();
    } else if (line[0] == ' ' || line[0] == '\t') {
      if (!last.empty()) list.back()[last] += "\n" + std::string(trim(line));
    } else if (auto [key, value] = split_once(line, ':'); value) {
      last = to_lower(trim(key));
      list.back()[last] = trim(*value);
    }
  }
  return list;
}

void add_stanza(Stanza& stanza, std::vector<AptSource>& sources) {
  auto listed = [&](const char* key) {
    std::string text = stanza[key];
    for (char& c : text)
      if (c == '\n') c = ' ';
    return words(text);
  };
  if (to_lower(stanza["enabled"]) == "no") return;
  bool binary = false;
  for (const std::string& type : listed("types")) binary |= type == "deb";
  if (!binary) return;
  for (const std::string& uri : listed("uris"))
    for (const std::string& suite : listed("suites")) {
      AptSource source{uri, suite, listed("components"), {}};
      const std::string& key = stanza["signed-by"];
      if (key.starts_with('/') && !key.contains('\n'))
        source.options.emplace_back("signed-by", key);
      for (const char* option : {"trusted", "check-valid-until"})
        if (!stanza[option].empty()) source.options.emplace_back(option, stanza[option]);
      sources.push_back(std::move(source));
    }
}

}  // namespace

std::vector<AptSource> parse_apt_sources(std::string_view text, bool deb822) {
  std::vector<AptSource> sources;
  if (deb822) {
    for (Stanza& stanza : stanzas(text)) add_stanza(stanza, sources);
    return sources;
  }
  size_t count = 0;
  for (std::string_view line : split(text, '\n')) {
    if (++count > kMaxLines) break;
    if (std::optional<AptSource> source = parse_line(trim(line)))
      sources.push_back(std::move(*source));
  }
  return sources;
}

std::vector<AptSource> sources_of_suite(const std::vector<AptSource>& sources,
                                        std::string_view suite) {
  std::vector<AptSource> chosen;
  for (const AptSource& source : sources)
    for (const char* companion : {"", "-updates", "-security", "/updates"})
      if (source.suite == std::string(suite) + companion) chosen.push_back(source);
  return chosen;
}

std::string one_line(const AptSource& source) {
  std::string line = "deb ";
  if (!source.options.empty()) {
    line += "[";
    for (const auto& [key, value] : source.options)
      line.append(line.back() == '[' ? "" : " ").append(key).append("=").append(value);
    line += "] ";
  }
  line += source.uri + " " + source.suite;
  for (const std::string& component : source.components) line += " " + component;
  return line;
}

}  // namespace wherry::engine
