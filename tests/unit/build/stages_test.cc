// The stage graph.
#include "build/stages.h"

#include <gtest/gtest.h>

namespace wherry::build {
namespace {

using Kind = Source::Kind;

Result<StagePlan> plan(const std::string& text, PlanOptions options = {}) {
  TRY(Dockerfile file, parse_dockerfile(text, {}));
  return plan_stages(file, options);
}

std::string error_of(const std::string& text, PlanOptions options = {}) {
  Result<StagePlan> planned = plan(text, std::move(options));
  return planned ? "no error" : planned.error().message();
}

const char* const kThree =
    "FROM debian AS base\n"
    "RUN a\n"
    "FROM base AS build\n"
    "COPY --from=tools /x /y\n"
    "FROM alpine AS unused\n"
    "RUN b\n"
    "FROM scratch\n"
    "COPY --from=1 /a /b\n"
    "RUN --mount=from=Base,target=/m c\n";

TEST(Stages, KnowWhatTheyStartFromAndWhatTheyNeed) {
  Result<StagePlan> planned = plan(kThree);
  ASSERT_TRUE(planned) << planned.error().message();
  ASSERT_EQ(planned->stages.size(), 4u);
  EXPECT_EQ(planned->stages[0].base.kind, Kind::kImage);
  EXPECT_EQ(planned->stages[0].base.name, "debian");
  EXPECT_EQ(planned->stages[1].base.kind, Kind::kStage);
  EXPECT_EQ(planned->stages[1].base.stage, 0);
  EXPECT_EQ(planned->stages[3].base.kind, Kind::kScratch);
  EXPECT_EQ(planned->stages[3].needs, (std::set<int>{0, 1}));
  EXPECT_EQ(planned->target, 3);
  EXPECT_EQ(planned->order, (std::vector<int>{0, 1, 3}));
  EXPECT_EQ(planned->stages[1].begin, 3u);
  EXPECT_EQ(planned->stages[1].end, 4u);
  EXPECT_EQ(planned->stages[1].place, (Place{3, 3}));
}

TEST(Stages, TheTargetDecidesWhatIsBuilt) {
  EXPECT_EQ(plan(kThree, {.target = "UNUSED"})->order, (std::vector<int>{2}));
  EXPECT_EQ(plan(kThree, {.target = "1"})->order, (std::vector<int>{0, 1}));
  EXPECT_EQ(error_of(kThree, {.target = "biuld"}),
            "target stage \"biuld\" could not be found (did you mean build?)");
  EXPECT_EQ(error_of(kThree, {.target = "4"}), "target stage \"4\" could not be found");
}

TEST(Stages, ANameHidesAnImageOnlyForLaterStages) {
  Result<StagePlan> planned = plan("FROM alpine AS alpine\nFROM ALPINE\nFROM alpine:3");
  ASSERT_TRUE(planned);
  EXPECT_EQ(planned->stages[0].base.kind, Kind::kImage);
  EXPECT_EQ(planned->stages[1].base.stage, 0);
  EXPECT_EQ(planned->stages[2].base.name, "alpine:3");
  EXPECT_EQ(plan("FROM a AS x\nFROM b AS x\nFROM x")->stages[2].base.stage, 1);
}

TEST(Stages, GlobalArgsAreExpandedInFrom) {
  const char* text =
      "ARG IMAGE=debian\nARG TAG=12 FULL=$IMAGE:$TAG\nFROM --platform=$BUILDPLATFORM $FULL AS x\n"
      "FROM ${IMAGE%ian}:${TARGETARCH}";
  PlanOptions options;
  options.build_platform = {"linux", "arm64", "", ""};
  options.target_platform = {"linux", "amd64", "", ""};
  options.build_args = {{"TAG", "13"}};
  Result<StagePlan> planned = plan(text, options);
  ASSERT_TRUE(planned) << planned.error().message();
  EXPECT_EQ(planned->stages[0].from, "debian:13");
  EXPECT_EQ(to_text(*planned->stages[0].platform), "linux/arm64");
  EXPECT_EQ(planned->stages[1].from, "deb:amd64");
  EXPECT_EQ(planned->global_args.at("FULL"), "debian:13");
  EXPECT_EQ(planned->global_args.at("TARGETPLATFORM"), "linux/amd64");
  EXPECT_EQ(planned->global_args.at("TARGETSTAGE"), "default");
}

TEST(Stages, FromReferencesAreClassified) {
  StagePlan planned = *plan("FROM a AS one\nFROM b AS two\nFROM c AS three");
  EXPECT_EQ(resolve_from(planned, 1, "ONE")->stage, 0);
  EXPECT_EQ(resolve_from(planned, 2, "0")->stage, 0);
  EXPECT_EQ(resolve_from(planned, 2, "alpine:3")->name, "alpine:3");
}

TEST(Stages, NameWhatIsWrongAndWhere) {
  const std::string at = "dockerfile parse error on line ";
  EXPECT_EQ(error_of("FROM a\nCOPY --from=later /x /y\nFROM b AS later"),
            at + "2: cannot copy from stage \"later\", it needs to be defined before current stage "
                 "\"0\"");
  EXPECT_EQ(error_of("FROM a AS me\nRUN --mount=from=me,target=/x y"),
            at + "2: cannot copy from stage \"me\", it needs to be defined before current stage "
                 "\"me\"");
  EXPECT_EQ(error_of("FROM a\nCOPY --from=0 /x /y"),
            at + "2: cannot copy from stage \"0\", it needs to be defined before current stage "
                 "\"0\"");
  EXPECT_EQ(error_of("FROM a\nCOPY --from=7 /x /y"),
            at + "2: invalid from flag value 7: there is no such stage");
  EXPECT_EQ(error_of("ARG X\nFROM $X"), at + "2: base name ($X) should not be blank");
  EXPECT_EQ(error_of("FROM ${X?missing}"), at + "1: failed to process '${X?missing}': X: missing");
  EXPECT_EQ(error_of("FROM --platform=$X a"), at + "1: empty platform value from expression $X");
  EXPECT_EQ(error_of("FROM --platform=a/b/c/d x"),
            at + "1: failed to parse platform: invalid platform 'a/b/c/d'");
}

TEST(Stages, UndeclaredArgsOfFromAreWarnedOf) {
  Result<StagePlan> planned = plan("ARG A\nFROM x$A$B");
  ASSERT_TRUE(planned);
  ASSERT_EQ(planned->warnings.size(), 1u);
  EXPECT_EQ(planned->warnings[0].rule, "UndefinedArgInFrom");
  EXPECT_EQ(planned->warnings[0].message, "FROM argument 'B' is not declared");
  EXPECT_TRUE(plan("# check=skip=UndefinedArgInFrom\nFROM x$B")->warnings.empty());
}

TEST(BuildArgs, ThoseNobodyAskedForAreNamed) {
  Dockerfile file = *parse_dockerfile("ARG A\nFROM x\nARG B=1", {});
  EXPECT_EQ(unconsumed_warning(file, {{"A", "1"},
                                      {"B", "2"},
                                      {"http_proxy", "x"},
                                      {"BUILDKIT_SYNTAX", "y"},
                                      {"SOURCE_DATE_EPOCH", "0"}}),
            "");
  EXPECT_EQ(unconsumed_warning(file, {{"Z", "1"}, {"BUILDKIT_INLINE_CACHE", "2"}, {"A", "3"}}),
            "One or more build-args [BUILDKIT_INLINE_CACHE Z] were not consumed");
  EXPECT_TRUE(is_proxy_arg("no_proxy") && is_proxy_arg("ALL_PROXY") && !is_proxy_arg("No_Proxy"));
}

}  // namespace
}  // namespace wherry::build
