// The parser: what a Dockerfile's text means, and what it must not mean.
#include "build/dockerfile.h"

#include <gtest/gtest.h>

namespace wherry::build {
namespace {

Dockerfile parsed(const std::string& text) {
  Result<Dockerfile> file = parse_dockerfile(text, {});
  EXPECT_TRUE(file) << text << ": " << file.error().message();
  return file ? std::move(*file) : Dockerfile{};
}

std::string error_of(const std::string& text) {
  Result<Dockerfile> file = parse_dockerfile(text, {});
  return file ? "no error" : file.error().message();
}

// The instruction behind "FROM x".
Instruction one(const std::string& text) {
  Dockerfile file = parsed("FROM x\n" + text);
  EXPECT_EQ(file.instructions.size(), 2u) << text;
  return file.instructions.size() == 2 ? file.instructions[1] : Instruction{};
}

template <typename What>
What what(const std::string& text) {
  Instruction instruction = one(text);
  const What* found = std::get_if<What>(&instruction.what);
  EXPECT_NE(found, nullptr) << text;
  return found == nullptr ? What{} : *found;
}

std::vector<std::string> rules(const Dockerfile& file) {
  std::vector<std::string> names;
  for (const Warning& warning : file.warnings)
    names.push_back(warning.rule + ":" + std::to_string(warning.place.first));
  return names;
}

using Texts = std::vector<std::string>;

TEST(DockerfileLines, CommentsContinuationsAndBlankLines) {
  Dockerfile file = parsed(
      "\xEF\xBB\xBF# comment\r\n"
      "\r\n"
      "  from x  \r\n"
      "RUN a && \\\r\n"
      "# comment inside\r\n"
      "   # indented comment\r\n"
      "    b \\ \t\r\n"
      "  && c # data\r\n"
      "RUN d \\\\\n"
      "RUN e \\\n");
  ASSERT_EQ(file.instructions.size(), 4u);
  EXPECT_EQ(file.instructions[0].place, (Place{3, 3}));
  EXPECT_EQ(file.instructions[0].original, "FROM x");
  EXPECT_EQ(file.instructions[1].place, (Place{4, 8}));
  EXPECT_EQ(file.instructions[1].original, "RUN a &&     b   && c # data");
  EXPECT_EQ(file.instructions[2].original, "RUN d \\\\");
  EXPECT_EQ(file.instructions[3].original, "RUN e");
}

TEST(DockerfileLines, DirectivesAreReadOnlyAtTheTop) {
  EXPECT_EQ(parsed("# escape=`\nFROM x\nRUN a `\n b").escape, '`');
  EXPECT_EQ(parsed("#ESCAPE = ` \n# syntax=docker/dockerfile:1\nFROM x").escape, '`');
  EXPECT_EQ(parsed("#!/usr/bin/env x\n# escape=`\nFROM x").escape, '`');
  EXPECT_EQ(parsed("# hello\n# escape=`\nFROM x").escape, '\\');
  EXPECT_EQ(parsed("\n# escape=`\nFROM x").escape, '\\');
  EXPECT_EQ(parsed("# unknown=1\n# escape=`\nFROM x").escape, '\\');
  EXPECT_EQ(parsed("FROM x\n# escape=`\n").escape, '\\');
  EXPECT_EQ(error_of("# escape=`\n# escape=\\\nFROM x"),
            "dockerfile parse error on line 2: only one escape parser directive can be used");
  EXPECT_EQ(error_of("# escape=x\nFROM x"),
            "dockerfile parse error on line 1: invalid ESCAPE 'x'. Must be ` or \\");
}

TEST(DockerfileLines, OnlyDockersOwnFrontendIsStoodInFor) {
  for (const char* syntax :
       {"docker/dockerfile:1", "docker/dockerfile:1.7-labs", "docker.io/docker/dockerfile:1.20.0",
        "docker/dockerfile", "docker/dockerfile:labs", "docker/dockerfile-upstream:master",
        "docker/dockerfile:1@sha256:00", "docker/dockerfile:1-labs"})
    parsed("# syntax=" + std::string(syntax) + "\nFROM x");
  for (const char* text :
       {"# syntax=tonistiigi/dockerfile:x\nFROM x", "# syntax=docker/dockerfile:2\nFROM x",
        "//syntax=other\nFROM x", "#!/x\n# syntax=example.com/docker/dockerfile:1\nFROM x"}) {
    Result<Dockerfile> file = parse_dockerfile(text, {});
    ASSERT_FALSE(file) << text;
    EXPECT_EQ(file.error().kind(), ErrorKind::kUnsupported);
    EXPECT_NE(file.error().hint().find("remove the '# syntax=' line"), std::string::npos);
  }
  EXPECT_TRUE(parse_dockerfile("# syntax=other\nFROM x", {.syntax = "docker/dockerfile:1"}));
  EXPECT_FALSE(parse_dockerfile("FROM x", {.syntax = "other"}));
}

TEST(DockerfileLines, ChecksCanBeSkippedOrMadeErrors) {
  EXPECT_EQ(rules(parsed("FROM x\nMAINTAINER me\nENV a b")),
            (Texts{"MaintainerDeprecated:2", "LegacyKeyValueFormat:3"}));
  EXPECT_EQ(rules(parsed("# check=skip=maintainerdeprecated\nFROM x\nMAINTAINER me\nENV a b")),
            (Texts{"LegacyKeyValueFormat:4"}));
  Dockerfile strict = parsed("# check=skip=a,b;error=true\nFROM x\nMAINTAINER me");
  EXPECT_EQ(enforce(strict.checks, strict.warnings).error().message(),
            "lint violation found for rules: MaintainerDeprecated");
  EXPECT_TRUE(enforce(strict.checks, {}));
  EXPECT_TRUE(rules(parsed("# check=skip=all\nFROM x\nMAINTAINER me")).empty());
  EXPECT_EQ(error_of("# check=fast=true\nFROM x"),
            "dockerfile parse error on line 1: invalid check option 'fast=true'");
}

TEST(Parser, ReadsFrom) {
  Dockerfile file = parsed("ARG V=1\nFROM --platform=$BUILDPLATFORM a:$V As Build-1\nFROM build-1");
  const auto& from = std::get<From>(file.instructions[1].what);
  EXPECT_EQ(from.image, "a:$V");
  EXPECT_EQ(from.platform, "$BUILDPLATFORM");
  EXPECT_EQ(from.name, "build-1");
  EXPECT_EQ(file.instructions[1].name, "FROM");
}

TEST(Parser, ReadsCommandsInBothForms) {
  EXPECT_EQ(what<build::Run>("RUN [\"a\", \"b c\"]").command.list, (Texts{"a", "b c"}));
  EXPECT_EQ(what<build::Run>("RUN [ \"\\u00e4\\n\" ]").command.list, (Texts{"ä\n"}));
  EXPECT_EQ(what<build::Run>("RUN a  'b' $C").command.text, "a  'b' $C");
  for (const char* shell : {"['a']", "[\"a\", 1]", "[\"a\"", "[\"a\"] x", "[[\"a\"]]", "[a]",
                            "[\"a\",]", "[\"\\u0000\"]"}) {
    build::Run run = what<build::Run>("RUN " + std::string(shell));
    EXPECT_FALSE(run.command.exec) << shell;
    EXPECT_EQ(run.command.text, shell);
  }
  EXPECT_TRUE(what<Cmd>("CMD []").command.exec);
  EXPECT_EQ(what<Entrypoint>("ENTRYPOINT exec top -b").command.text, "exec top -b");
  EXPECT_EQ(what<Shell>("SHELL [\"/bin/bash\", \"-c\"]").shell, (Texts{"/bin/bash", "-c"}));
}

TEST(Parser, ReadsRunsFlags) {
  build::Run run = what<build::Run>(
      "RUN --mount=type=cache,target=/c --mount=\"type=bind,from=b,target=/x y\" --network=none "
      "--security=insecure -- make --all");
  ASSERT_EQ(run.mounts.size(), 2u);
  EXPECT_EQ(run.mounts[0].text, "type=cache,target=/c");
  EXPECT_EQ(run.mounts[1].text, "type=bind,from=b,target=/x y");
  EXPECT_EQ(run.mounts[1].from, "b");
  EXPECT_EQ(run.network, RunNetwork::kNone);
  EXPECT_TRUE(run.insecure);
  EXPECT_EQ(run.command.text, "make --all");
  EXPECT_EQ(what<build::Run>("RUN --mount=type=cache,uid=$U,target=$T x").mounts.size(), 1u);
}

TEST(Parser, ReadsCopyAndAdd) {
  Copy copy = what<Copy>(
      "COPY --from=build --chown=$U:g --chmod=0755 --link --parents=false --exclude=*.o "
      "--exclude=b a $B /dst/");
  EXPECT_FALSE(copy.add);
  EXPECT_EQ(copy.from, "build");
  EXPECT_EQ(copy.chown, "$U:g");
  EXPECT_EQ(copy.chmod, "0755");
  EXPECT_TRUE(copy.link);
  EXPECT_FALSE(copy.parents);
  EXPECT_EQ(copy.exclude, (Texts{"*.o", "b"}));
  EXPECT_EQ(copy.sources, (Texts{"a", "$B"}));
  EXPECT_EQ(copy.destination, "/dst/");
  EXPECT_EQ(what<Copy>("COPY [\"a b\", \"c\", \"/d e\"]").sources, (Texts{"a b", "c"}));
  EXPECT_EQ(what<Copy>("COPY \"a b\" /c").sources, (Texts{"\"a", "b\""}));
  Copy add = what<Copy>("ADD --checksum=sha256:x --unpack=false --keep-git-dir http://a/b /c");
  EXPECT_TRUE(add.add);
  EXPECT_EQ(add.checksum, "sha256:x");
  EXPECT_EQ(add.unpack, false);
  EXPECT_EQ(add.keep_git_dir, true);
  EXPECT_FALSE(what<Copy>("ADD a /c").unpack);
}

TEST(Parser, ReadsNamesAndValues) {
  auto pairs = [](const std::string& text) {
    std::string shown;
    for (const Pair& pair : what<Env>(text).pairs) shown += pair.name + "|" + pair.value + ";";
    return shown;
  };
  EXPECT_EQ(pairs("ENV a=1 b=\"2 3\" c=4\\ 5 d='6 7'"), "a|1;b|\"2 3\";c|4\\ 5;d|'6 7';");
  EXPECT_EQ(pairs("ENV a the rest = of it"), "a|the rest = of it;");
  EXPECT_EQ(pairs("ENV a=b=c d="), "a|b=c;d|;");
  EXPECT_EQ(pairs("ENV a=1 \\\n  b=2"), "a|1;b|2;");
  EXPECT_EQ(what<Label>("LABEL \"a b\"=c").pairs[0].name, "\"a b\"");
  Arg arg = what<Arg>("ARG A B=1 C=\"x y\" D=");
  ASSERT_EQ(arg.items.size(), 4u);
  EXPECT_FALSE(arg.items[0].value);
  EXPECT_EQ(arg.items[2].value, "\"x y\"");
  EXPECT_EQ(arg.items[3].value, "");
}

TEST(Parser, ReadsTheRest) {
  EXPECT_EQ(what<Workdir>("WORKDIR /a b").path, "/a b");
  EXPECT_EQ(what<User>("USER $U:g").user, "$U:g");
  EXPECT_EQ(what<StopSignal>("STOPSIGNAL SIGTERM").signal, "SIGTERM");
  EXPECT_EQ(what<Expose>("EXPOSE 80 90-91/udp $P").ports, (Texts{"80", "90-91/udp", "$P"}));
  EXPECT_EQ(what<Volume>("VOLUME [\"/a b\"]").paths, (Texts{"/a b"}));
  EXPECT_EQ(what<Volume>("VOLUME /a /b").paths, (Texts{"/a", "/b"}));
  EXPECT_EQ(what<Maintainer>("MAINTAINER me <m@e>").name, "me <m@e>");
  EXPECT_EQ(what<Onbuild>("ONBUILD copy . /x").trigger, "copy . /x");
}

TEST(Parser, ReadsHealthchecks) {
  EXPECT_EQ(what<Healthcheck>("HEALTHCHECK none").check.test, (Texts{"NONE"}));
  oci::Healthcheck check =
      what<Healthcheck>(
          "HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=0 --start-interval=1.5s "
          "--retries=5 cmd curl -f x || exit 1")
          .check;
  EXPECT_EQ(
      check,
      (oci::Healthcheck{
          {"CMD-SHELL", "curl -f x || exit 1"}, 90'000'000'000, 500'000'000, 0, 1'500'000'000, 5}));
  EXPECT_EQ(what<Healthcheck>("HEALTHCHECK CMD [\"a\",\"b\"]").check.test,
            (Texts{"CMD", "a", "b"}));
}

TEST(Parser, ReadsHeredocs) {
  build::Run script = what<build::Run>("RUN <<EOF\napt update # no comment\n\n# kept \\\nEOF");
  EXPECT_EQ(script.command.text, "apt update # no comment\n\n# kept \\\n");
  EXPECT_FALSE(script.script);
  EXPECT_TRUE(what<build::Run>("RUN <<EOF\n#!/bin/python\nEOF").script);
  EXPECT_EQ(what<build::Run>("RUN cat <<A - 3<<-'B' | sort\n1\nA\n\t2\n\tB").command.text,
            "cat <<A - 3<<-'B' | sort\n1\nA\n2\nB");
  EXPECT_EQ(what<build::Run>("RUN cat << EOF\nx\nEOF").command.text, "cat << EOF\nx\nEOF");
  EXPECT_TRUE(what<build::Run>("RUN cat <<<word").heredocs.empty());
  EXPECT_TRUE(what<build::Run>("RUN echo \"<<EOF\"").heredocs.empty());
  EXPECT_TRUE(what<build::Run>("RUN [\"<<EOF\"]").heredocs.empty());
  Copy copy = what<Copy>("COPY <<a.txt file <<-\"b.txt\" /dir/\n$A\na.txt\n\tB\n\tb.txt");
  ASSERT_EQ(copy.heredocs.size(), 2u);
  EXPECT_EQ(copy.sources, (Texts{"file"}));
  EXPECT_EQ(copy.heredocs[0].name, "a.txt");
  EXPECT_EQ(copy.heredocs[0].body, "$A\n");
  EXPECT_TRUE(copy.heredocs[0].expand);
  EXPECT_EQ(copy.heredocs[1].body, "B\n");
  EXPECT_FALSE(copy.heredocs[1].expand);
  EXPECT_EQ(what<Copy>("COPY <<EOF /x\nEOF").heredocs[0].body, "");
  EXPECT_EQ(what<Onbuild>("ONBUILD RUN <<EOF\nx\nEOF").trigger, "RUN <<EOF\nx\nEOF");
  Instruction shown = one("RUN <<EOF\n\n  first\nsecond\nEOF");
  EXPECT_EQ(shown.original, "RUN <<EOF (first...)");
  EXPECT_EQ(shown.place, (Place{2, 6}));
}

TEST(Parser, NamesWhatIsWrongAndWhere) {
  const std::pair<std::string, std::string> table[] = {
      {"", "1: file with no instructions"},
      {"# only\n\n", "3: file with no instructions"},
      {"RUN x", "1: no build stage in current context"},
      {"ARG A\nENV a=b\nFROM x", "2: no build stage in current context"},
      {"ARG A", "1: dockerfile contains no stages to build"},
      {"FROM x\nFROBNICATE bar", "2: unknown instruction: FROBNICATE"},
      {"FROM x\nCOYP a b", "2: unknown instruction: COYP (did you mean COPY?)"},
      {"FROM x\n{\"a\":1}", "2: unknown instruction: {\"a\":1}"},
      {"FROM", "1: FROM requires either one or three arguments"},
      {"FROM a b", "1: FROM requires either one or three arguments"},
      {"FROM a AS 1x",
       "1: invalid name for build stage: \"1x\", name can't start with a number or contain "
       "symbols"},
      {"FROM --platfrom=x a", "1: unknown flag: --platfrom (did you mean platform?)"},
      {"FROM x\nCOPY --form=y a b", "2: unknown flag: --form (did you mean from?)"},
      {"FROM x\nADD --from=y a b", "2: unknown flag: --from"},
      {"FROM x\nENV --x a=b", "2: unknown flag: --x"},
      {"FROM x\nRUN --device=gpu x", "2: unknown flag: --device"},
      {"FROM x\nCOPY --link=maybe a b", "2: expecting boolean value for flag link, not: maybe"},
      {"FROM x\nCOPY --chown a b", "2: missing a value on flag: chown"},
      {"FROM x\nCOPY --from= a b", "2: missing a value on flag: from"},
      {"FROM x\nCOPY --chown=a --chown=b c d", "2: duplicate flag specified: chown"},
      {"FROM x\nCOPY --from=$Y a b",
       "2: variable expansion is not supported for --from, define a new stage with FROM using ARG "
       "from global scope as a workaround"},
      {"FROM x\nCOPY a",
       "2: COPY requires at least two arguments, but only one was provided. Destination could not "
       "be determined"},
      {"FROM x\nCOPY a <<EOF\nEOF", "2: COPY cannot accept a heredoc as a destination"},
      {"FROM x\nRUN", "2: RUN requires at least one argument"},
      {"FROM x\nRUN []", "2: RUN requires at least one argument"},
      {"FROM x\nRUN --mount=type=nope,target=/x y", "2: unsupported mount type 'nope'"},
      {"FROM x\nRUN --mount=target=/x,from=$Y y",
       "2: 'from' doesn't support variable expansion, define alias stage instead"},
      {"FROM x\nRUN --network=hots y", "2: unsupported network mode 'hots' (did you mean host?)"},
      {"FROM x\nRUN --security=none y", "2: security 'none' is not valid"},
      {"FROM x\n\nRUN <<EOF\nx\n", "3: unterminated heredoc"},
      {"FROM x\nENV a", "2: ENV must have two arguments"},
      {"FROM x\nENV a=1 b",
       "2: Syntax error - can't find = in \"b\". Must be of the form: name=value"},
      {"FROM x\nENV =1", "2: ENV names can not be blank"},
      {"FROM x\nARG =1", "2: ARG names can not be blank"},
      {"FROM x\nWORKDIR", "2: WORKDIR requires exactly one argument"},
      {"FROM x\nEXPOSE", "2: EXPOSE requires at least one argument"},
      {"FROM x\nVOLUME [\"\"]", "2: VOLUME specified can not be an empty string"},
      {"FROM x\nSHELL bash -c", "2: SHELL requires the arguments to be in JSON form"},
      {"FROM x\nHEALTHCHECK", "2: HEALTHCHECK requires at least one argument"},
      {"FROM x\nHEALTHCHECK NONE x", "2: HEALTHCHECK NONE takes no arguments"},
      {"FROM x\nHEALTHCHECK curl", "2: Unknown type \"CURL\" in HEALTHCHECK (try CMD)"},
      {"FROM x\nHEALTHCHECK CMD", "2: Missing command after HEALTHCHECK CMD"},
      {"FROM x\nHEALTHCHECK --interval=1us CMD x",
       "2: Interval \"interval\" cannot be less than 1ms"},
      {"FROM x\nHEALTHCHECK --timeout=5 CMD x", "2: --timeout: invalid duration '5'"},
      {"FROM x\nHEALTHCHECK --timeout=-5s CMD x", "2: --timeout: invalid duration '-5s'"},
      {"FROM x\nHEALTHCHECK --retries=-1 CMD x", "2: --retries cannot be negative (-1)"},
      {"FROM x\nONBUILD ONBUILD RUN x", "2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"},
      {"FROM x\nONBUILD from y", "2: FROM isn't allowed as an ONBUILD trigger"},
      {"FROM x\nONBUILD RUNN x",
       "2: invalid ONBUILD trigger 'RUNN x': unknown instruction: RUNN (did you mean RUN?)"},
      {"FROM x\nENV a=\xff", "2: the instruction is not UTF-8 text"},
      {std::string("FROM x\nENV a=\0b", 15), "2: the instruction is not UTF-8 text"}};
  for (const auto& [text, why] : table)
    EXPECT_EQ(error_of(text), "dockerfile parse error on line " + why) << text;
}

TEST(Parser, LimitsHold) {
  EXPECT_FALSE(parse_dockerfile("FROM x\n" + std::string(5u << 20, '#'), {}));
  EXPECT_FALSE(parse_dockerfile("FROM x\nRUN " + std::string(2u << 20, 'x'), {}));
  std::string many = "FROM x\n";
  for (int i = 0; i < 10'000; ++i) many += "USER a\n";
  Result<Dockerfile> file = parse_dockerfile(many, {});
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().kind(), ErrorKind::kResourceExhausted);
  std::string joined = "FROM x\nRUN a";
  for (int i = 0; i < 3; ++i) joined += std::string(500'000, 'x') + "\\\n";
  EXPECT_FALSE(parse_dockerfile(joined + "z", {}));
  EXPECT_TRUE(parse_dockerfile("FROM x\nCMD " + std::string(500'000, '['), {}));
  std::string heredocs = "FROM x\nRUN cat";
  for (int i = 0; i < 200; ++i) heredocs += " <<A";
  EXPECT_FALSE(parse_dockerfile(heredocs, {}));
  std::string words = "FROM x\nEXPOSE";
  for (int i = 0; i < 20'000; ++i) words += " 1";
  EXPECT_FALSE(parse_dockerfile(words, {}));
}

TEST(Parser, ReadsTriggersOfImages) {
  Result<Instruction> trigger = parse_trigger("copy <<EOF /x\nbody\nEOF", {7, 7});
  ASSERT_TRUE(trigger) << trigger.error().message();
  EXPECT_EQ(trigger->name, "COPY");
  EXPECT_EQ(trigger->place, (Place{7, 7}));
  EXPECT_EQ(std::get<Copy>(trigger->what).heredocs[0].body, "body\n");
  for (const char* text : {"", "FROM x", "RUN a\nRUN b", "NOPE", "# x"})
    EXPECT_FALSE(parse_trigger(text, {})) << text;
}

TEST(Lint, SpeaksOfWhatIsRarelyMeant) {
  const std::pair<const char*, Texts> table[] = {
      {"FROM x\nRUN a", {}},
      {"FROM x\nRUN a \\\n\n b", {"NoEmptyContinuation:2"}},
      {"FROM x\nLABEL a b", {"LegacyKeyValueFormat:2"}},
      {"FROM x\nCMD a", {"JSONArgsRecommended:2"}},
      {"FROM x\nSHELL [\"bash\"]\nCMD a", {}},
      {"FROM x\nCMD [\"a\"]\nCMD [\"b\"]", {"MultipleInstructionsDisallowed:3"}},
      {"FROM x\nCMD [\"a\"]\nFROM x\nCMD [\"b\"]", {}},
      {"FROM x\nrun a\nRUN b", {"ConsistentInstructionCasing:2"}},
      {"from x\nrun a\nRUN b", {"ConsistentInstructionCasing:3"}},
      {"FROM x AS A", {"StageNameCasing:1"}},
      {"FROM x as a", {"FromAsCasing:1"}},
      {"FROM x AS a\nFROM x AS a", {"DuplicateStageName:2"}},
      {"FROM x AS context", {"ReservedStageName:1"}},
      {"FROM x\nWORKDIR a", {"WorkdirRelativePath:2"}},
      {"FROM x\nWORKDIR /a\nWORKDIR b", {}}};
  for (const auto& [text, expected] : table) EXPECT_EQ(rules(parsed(text)), expected) << text;
}

TEST(Excerpt, MarksThePlace) {
  EXPECT_EQ(excerpt("FROM a\nRUN b \\\n c\nRUN d\nRUN e\nRUN f", "Dockerfile", {2, 3}),
            "Dockerfile:2\n"
            "--------------------\n"
            "   1 |     FROM a\n"
            "   2 | >>> RUN b \\\n"
            "   3 | >>>  c\n"
            "   4 |     RUN d\n"
            "   5 |     RUN e\n"
            "--------------------\n");
}

}  // namespace
}  // namespace wherry::build
