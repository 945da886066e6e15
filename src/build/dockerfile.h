// Dockerfile: the language as plain data, and its parser.
//
//   TRY(Dockerfile file, parse_dockerfile(text, {}));
//   for (const Instruction& step : file.instructions) std::visit(..., step.what);
//
// Variables are not expanded here: most are known only when a stage runs. Texts marked (words) are
// kept as written, for expand_word(); everything else is final. docs/design/dockerfile.md has the
// rules; the words of errors are BuildKit's where it has any. Errors are kInvalidArgument (limits
// kResourceExhausted, foreign frontends kUnsupported) and begin with
// "dockerfile parse error on line N: ".
// Not here: what the instructions do (metadata.h, copy.h), which run (stages.h).
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "oci/image.h"

namespace wherry::build {

// Lines of the file, counted from 1, both included.
struct Place {
  int first = 0;
  int last = 0;
  bool operator==(const Place&) const = default;
};

// A build check that speaks without failing.
struct Warning {
  std::string rule;  // "LegacyKeyValueFormat"
  std::string message;
  Place place;
};

struct Heredoc {
  std::string name;         // "EOF": the terminator, and the name of the file in COPY and ADD
  std::string body;         // tabs stripped already when asked for; ends with a newline or is empty
  bool expand = true;       // false: the word had quotes
  bool strip_tabs = false;  // <<-
};

// RUN, CMD, ENTRYPOINT: a list as it is (exec form), or a text for the shell.
struct Command {
  bool exec = false;
  std::vector<std::string> list;  // exec form
  std::string text;               // shell form; of RUN with heredocs: bodies put back in
};

struct From {
  std::string image;     // (words) of global ARGs
  std::string platform;  // (words) of global ARGs; "": none
  std::string name;      // AS, lower case; "": none
};

enum class MountType { kBind, kCache, kTmpfs, kSecret, kSsh };
enum class Sharing { kShared, kPrivate, kLocked };
enum class RunNetwork { kDefault, kNone, kHost };

// `--mount` with its variables expanded: expand_mount().
struct Mount {
  MountType type = MountType::kBind;
  std::string from;    // stage, index or image; "": the build context (bind),
                       // an empty directory (cache)
  std::string source;  // path in `from`; of an ssh mount nothing
  std::string target;  // as written; "": secret and ssh have defaults of their own
  bool read_only = false;
  // cache: "": the target; secret: the target's last name when nothing else is given.
  std::string id;
  Sharing sharing = Sharing::kShared;
  bool required = false;
  std::optional<uint64_t> size;  // tmpfs
  std::optional<uint32_t> mode, uid, gid;
  std::optional<std::string> env;  // secret: the variable that gets the value
};

struct RunMount {
  std::string text;  // (words) as written: "type=cache,target=/x"
  std::string from;  // never expanded; what the stage graph needs
};

struct Run {
  Command command;
  std::vector<Heredoc> heredocs;  // as written
  // A lone heredoc whose body begins with "#!": a program of its own, not a text for the shell.
  // `command.text` is the body; it is to be a file with mode 0755.
  bool script = false;
  std::vector<RunMount> mounts;
  RunNetwork network = RunNetwork::kDefault;
  bool insecure = false;  // --security=insecure
};

struct Copy {
  bool add = false;
  std::vector<std::string> sources;  // (words)
  std::vector<Heredoc> heredocs;     // bodies: expand_text() when `expand`
  std::string destination;           // (words)
  std::string from;                  // stage, index or image; never expanded
  std::optional<std::string> chown;  // (words)
  std::optional<std::string> chmod;  // (words)
  bool link = false;
  bool parents = false;
  std::vector<std::string> exclude;     // (words)
  std::optional<std::string> checksum;  // (words)
  std::optional<bool> unpack;
  std::optional<bool> keep_git_dir;
};

struct Pair {
  std::string name;   // (words)
  std::string value;  // (words)
};
struct Env {
  std::vector<Pair> pairs;
};
struct Label {
  std::vector<Pair> pairs;
};
struct Arg {
  struct Item {
    std::string name;
    std::optional<std::string> value;  // (words)
  };
  std::vector<Item> items;
};
struct Workdir {
  std::string path;  // (words)
};
struct User {
  std::string user;  // (words)
};
struct Cmd {
  Command command;
};
struct Entrypoint {
  Command command;
};
struct Expose {
  std::vector<std::string> ports;  // (words), each may become several
};
struct Volume {
  std::vector<std::string> paths;  // (words)
};
struct Shell {
  std::vector<std::string> shell;
};
struct StopSignal {
  std::string signal;  // (words)
};
struct Healthcheck {
  oci::Healthcheck check;
};
struct Onbuild {
  std::string trigger;  // the instruction's text, for parse_trigger()
};
struct Maintainer {
  std::string name;
};

struct Instruction {
  using What = std::variant<From, Run, Copy, Env, Arg, Label, Workdir, User, Cmd, Entrypoint,
                            Expose, Volume, Shell, StopSignal, Healthcheck, Onbuild, Maintainer>;
  Place place;
  std::string name;  // "RUN", upper case; "ADD" or "COPY" for Copy
  std::string
      original;  // one line, as step names show it: name in upper case, continuations joined
  What what;
};

// `# check=skip=A,B;error=true`.
struct Checks {
  bool skip_all = false;
  std::set<std::string> skip;  // lower case
  bool error = false;
  bool wants(std::string_view rule) const;
};

struct Dockerfile {
  std::vector<Instruction> instructions;  // at least one FROM; only ARG before the first
  std::vector<Warning> warnings;          // of the checks that are wanted
  Checks checks;
  char escape = '\\';
};
// "lint violation found for rules: A, B" when `# check=error=true` and there are warnings.
Result<void> enforce(const Checks& checks, const std::vector<Warning>& warnings);

struct ParseOptions {
  std::string syntax;  // --build-arg BUILDKIT_SYNTAX: in place of the file's "# syntax="
};

// Limits: 4 MiB, lines of 1 MiB, 10,000 instructions, 10,000 words of one.
Result<Dockerfile> parse_dockerfile(std::string_view text, const ParseOptions& options);

// An ONBUILD trigger of an image's configuration; `place` is the FROM's that brought it.
Result<Instruction> parse_trigger(std::string_view text, Place place);

// The lines around `place` with the place marked, as Docker shows them under an error:
//   Dockerfile:3
//   --------------------
//      2 |     WORKDIR /x
//      3 | >>> RUN false
//   --------------------
std::string excerpt(std::string_view text, std::string_view file_name, Place place);

}  // namespace wherry::build
