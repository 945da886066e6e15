// What instructions do to a configuration, ARG's scope, and the words of the history.
#include "build/metadata.h"

#include <gtest/gtest.h>

namespace wherry::build {
namespace {

using Texts = std::vector<std::string>;

// A stage that starts from `env` and takes instructions as text.
struct Bench {
  oci::ImageConfig image;
  Scope scope;
  StageMetadata stage{&image, &scope};

  explicit Bench(std::map<std::string, std::string> build_args = {},
                 std::map<std::string, std::string> global = {})
      : scope(std::move(build_args), std::move(global)) {
    image.config.env = {"PATH=/bin"};
  }
  oci::ImageRunConfig& config() { return image.config; }

  std::string run(const std::string& text) {
    Result<Instruction> instruction = read(text);
    if (!instruction) return "unreadable: " + instruction.error().message();
    Result<bool> applied = apply_metadata(*instruction, stage);
    if (!applied) return applied.error().message();
    Result<std::string> history = created_by(*instruction, stage);
    return history ? *history : "no history: " + history.error().message();
  }
  static Result<Instruction> read(const std::string& text) {
    TRY(Dockerfile file, parse_dockerfile("FROM x\n" + text, {}));
    return file.instructions.at(1);
  }
};

TEST(Metadata, EnvExpandsAgainstWhatWasBefore) {
  Bench bench;
  EXPECT_EQ(bench.run("ENV abc=hello"), "ENV abc=hello");
  EXPECT_EQ(bench.run("ENV abc=bye def=$abc PATH=$PATH:/x"), "ENV abc=bye def=hello PATH=/bin:/x");
  EXPECT_EQ(bench.config().env, (Texts{"PATH=/bin:/x", "abc=bye", "def=hello"}));
  EXPECT_EQ(bench.run("ENV ghi 'a  b' $def"), "ENV ghi=a  b hello");
  EXPECT_EQ(bench.run("ENV a=\"${x?must be set}\""),
            "failed to process '\"${x?must be set}\"': x: must be set");
}

TEST(Metadata, SetsTheRunConfiguration) {
  Bench bench;
  EXPECT_EQ(bench.run("ENV P=9000-9001 D=data"), "ENV P=9000-9001 D=data");
  EXPECT_EQ(bench.run("LABEL a=1 \"b c\"='$D' d=\"$D\""), "LABEL a=1 b c=$D d=data");
  EXPECT_EQ(bench.config().labels.at("b c"), "$D");
  EXPECT_EQ(bench.run("EXPOSE 80 53/UDP $P 127.0.0.1:8080:81"),
            "EXPOSE map[80/tcp:{} 53/udp:{} 9000-9001/tcp:{} 81/tcp:{}]");
  EXPECT_EQ(bench.config().exposed_ports,
            (Texts{"53/udp", "80/tcp", "81/tcp", "9000/tcp", "9001/tcp"}));
  EXPECT_EQ(bench.run("VOLUME /$D /b"), "VOLUME [/data /b]");
  EXPECT_EQ(bench.config().volumes, (Texts{"/b", "/data"}));
  EXPECT_EQ(bench.run("USER ${D}:1"), "USER data:1");
  EXPECT_EQ(bench.run("STOPSIGNAL SIGQUIT"), "STOPSIGNAL SIGQUIT");
  EXPECT_EQ(bench.run("HEALTHCHECK --retries=2 CMD x"), "HEALTHCHECK --retries=2 CMD x");
  EXPECT_EQ(bench.config().healthcheck->test, (Texts{"CMD-SHELL", "x"}));
  EXPECT_EQ(bench.run("ONBUILD RUN make"), "ONBUILD RUN make");
  EXPECT_EQ(bench.config().on_build, (Texts{"RUN make"}));
  EXPECT_EQ(bench.run("MAINTAINER me"), "MAINTAINER me");
  EXPECT_EQ(bench.image.author, "me");
}

TEST(Metadata, WorkdirIsRelativeToTheOneBefore) {
  Bench bench;
  EXPECT_EQ(bench.run("WORKDIR app"), "WORKDIR /app");
  EXPECT_EQ(bench.run("WORKDIR ./x/../y/"), "WORKDIR /app/y");
  EXPECT_EQ(bench.run("WORKDIR ../../../.."), "WORKDIR /");
  EXPECT_EQ(bench.run("WORKDIR /a b"), "WORKDIR /a b");
  EXPECT_EQ(bench.run("WORKDIR $UNSET"), "the path is empty");
}

TEST(Metadata, EntrypointTakesAwayOnlyAnInheritedCmd) {
  Bench inherited;
  inherited.config().cmd = {"base"};
  EXPECT_EQ(inherited.run("ENTRYPOINT [\"/e\", \"a b\"]"), "ENTRYPOINT [\"/e\" \"a b\"]");
  EXPECT_TRUE(inherited.config().cmd.empty());
  Bench own;
  EXPECT_EQ(own.run("CMD [\"mine\"]"), "CMD [\"mine\"]");
  EXPECT_EQ(own.run("ENTRYPOINT exec /e"), "ENTRYPOINT [\"/bin/sh\" \"-c\" \"exec /e\"]");
  EXPECT_EQ(own.config().cmd, (Texts{"mine"}));
  EXPECT_TRUE(own.config().args_escaped);
}

TEST(Metadata, ShellChangesTheShellForms) {
  Bench bench;
  EXPECT_EQ(bench.run("SHELL [\"/bin/bash\", \"-lc\"]"), "SHELL [/bin/bash -lc]");
  EXPECT_EQ(bench.run("CMD echo \"$HOME\""), "CMD [\"/bin/bash\" \"-lc\" \"echo \\\"$HOME\\\"\"]");
  EXPECT_EQ(bench.run("RUN make"), "RUN /bin/bash -lc make # buildkit");
}

TEST(Metadata, RefusesValuesThatNoContainerCouldUse) {
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
           {"STOPSIGNAL SIGNOPE", "Invalid signal: SIGNOPE"},
           {"STOPSIGNAL $UNSET", "Invalid signal: "},
           {"USER $UNSET", "the user is empty"},
           {"VOLUME data", "volume 'data' is not an absolute path"},
           {"VOLUME $UNSET", "VOLUME specified can not be an empty string"},
           {"ENV $UNSET=x", "ENV names can not be blank"}}) {
    Bench bench;
    EXPECT_EQ(bench.run(text), why);
    EXPECT_EQ(bench.config().env, (Texts{"PATH=/bin"}));
  }
  for (const char* text :
       {"EXPOSE 0", "EXPOSE 70000", "EXPOSE x", "EXPOSE 80/icmp", "EXPOSE 9-8"}) {
    Bench bench;
    bench.run(text);
    EXPECT_TRUE(bench.config().exposed_ports.empty()) << text;
  }
}

TEST(Metadata, InstructionsWithFilesAreNotItsBusiness) {
  Bench bench;
  for (const char* text : {"RUN x", "COPY a b", "ADD a b"}) {
    Result<bool> applied = apply_metadata(*Bench::read(text), bench.stage);
    ASSERT_TRUE(applied);
    EXPECT_FALSE(*applied);
  }
}

TEST(CreatedBy, NamesArgumentsOfRunAndExpandedPathsOfCopy) {
  Bench bench({{"X", "1"}}, {{"G", "2"}});
  EXPECT_EQ(bench.run("RUN make"), "RUN /bin/sh -c make # buildkit");
  EXPECT_EQ(bench.run("ARG X Y=$X G U"), "ARG X=1 Y= G=2 U");
  EXPECT_EQ(bench.run("ARG Y=$X"), "ARG Y=1");
  EXPECT_EQ(bench.run("RUN make"), "RUN |3 X=1 Y=1 G=2 /bin/sh -c make # buildkit");
  EXPECT_EQ(bench.run("RUN [\"a\", \"b c\"]"), "RUN |3 X=1 Y=1 G=2 a b c # buildkit");
  EXPECT_EQ(bench.run("COPY --chown=u:$X --chmod=755 --from=b a$X c /d/"),
            "COPY --chown=u:1 --chmod=755 a1 c /d/ # buildkit");
  EXPECT_EQ(bench.run("ADD <<f /x\nf"), "ADD <<f /x # buildkit");
}

TEST(Scope, EnvHidesArgAndBuildArgsReplaceDefaults) {
  Bench bench({{"A", "given"}, {"http_proxy", "http://p"}, {"HTTPS_PROXY", "s"}},
              {{"G", "global"}, {"D", "global"}});
  bench.run("ARG A=default");
  bench.run("ARG D=own");
  bench.run("ARG G");
  bench.run("ARG NEVER");
  bench.run("ARG HTTPS_PROXY");
  bench.run("ENV G=env V=$A-$D-$G-$NEVER$NOWHERE");
  EXPECT_EQ(bench.config().env, (Texts{"PATH=/bin", "G=env", "V=given-own-global-"}));
  bench.run("ENV V=$G");
  EXPECT_EQ(bench.config().env.back(), "V=env");
  Scope::RunEnv env = bench.scope.run_env(bench.config().env);
  EXPECT_EQ(env.visible,
            (Texts{"PATH=/bin", "G=env", "V=env", "A=given", "D=own", "HTTPS_PROXY=s"}));
  EXPECT_EQ(env.hidden, (Texts{"http_proxy=http://p"}));
  EXPECT_EQ(bench.scope.take_undefined(), (Texts{"NOWHERE"})) << "NEVER is declared";
  EXPECT_TRUE(bench.scope.take_undefined().empty());
}

TEST(Scope, ArgWithoutAGlobalOrADefaultStaysUnset) {
  Bench bench;
  bench.run("ARG A");
  bench.run("ENV B=${A-unset}");
  EXPECT_EQ(bench.config().env.back(), "B=unset");
  bench.run("ARG A=now");
  bench.run("ENV C=${A-unset}");
  EXPECT_EQ(bench.config().env.back(), "C=now");
}

}  // namespace
}  // namespace wherry::build
