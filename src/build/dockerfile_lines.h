// A Dockerfile's text as logical lines: directives read, comments dropped, continuations joined,
// the bodies of heredocs set aside. Inside build/ only; what a line means is dockerfile.cc's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "build/dockerfile.h"

namespace wherry::build {

struct LogicalLine {
  Place place;
  std::string word;  // the instruction as written
  std::string rest;  // behind it, trimmed
  std::vector<Heredoc> heredocs;
  bool empty_continuation = false;
};

struct Lines {
  std::vector<LogicalLine> lines;
  Checks checks;
  std::string syntax;  // "# syntax="; "": none
  char escape = '\\';
};

// `directives`: whether "# escape=" and its kin count (not in a trigger). Errors have their place.
Result<Lines> read_lines(std::string_view text, bool directives);

// "dockerfile parse error on line N: " and the error, which keeps its kind.
Error at_line(Error error, int line);

// "cat <<EOF 3<<-'X'" -> both; a word that begins with a quote is none. Bodies are empty.
std::vector<Heredoc> find_heredocs(std::string_view rest);
// The word itself, when it is a heredoc and nothing else.
std::optional<Heredoc> as_heredoc(std::string_view word);

}  // namespace wherry::build
