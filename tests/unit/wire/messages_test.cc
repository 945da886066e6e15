#include "wire/messages.h"

#include <gtest/gtest.h>

namespace wherry::wire {
namespace {

TEST(Messages, AnOpeningComesBackAsItWas) {
  Message message;
  message.id = 1;
  message.operation = Operation::kOpen;
  message.opening = {.domain = "host:5000",
                     .base_url = "https://host:5000",
                     .repository = "team/app",
                     .actions = "pull,push",
                     .also_pull = {"team/base", "other"},
                     .verify_tls = false,
                     .username = "user",
                     .password = "p\"\\\n",
                     .identity_token = "",
                     .has_credentials = true,
                     .files = {"ca", "cert", "key"},
                     .patience = {.connect_ms = 1, .stall_ms = 2, .backoff_ms = 3}};
  Result<Message> read = decode_message(encode(message));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(encode(*read), encode(message));
  EXPECT_EQ(read->opening.password, "p\"\\\n");
  EXPECT_FALSE(read->opening.verify_tls);
  EXPECT_EQ(read->opening.also_pull, message.opening.also_pull);
  EXPECT_EQ(read->opening.patience.stall_ms, 2u);
}

TEST(Messages, EveryOperationComesBack) {
  for (int i = 0; i <= static_cast<int>(Operation::kCancel); ++i) {
    Message message;
    message.id = 7;
    message.operation = static_cast<Operation>(i);
    message.digest = "sha256:x";
    message.size = UINT64_MAX;
    message.urls = {"https://a/", "https://b/"};
    message.target = 3;
    Result<Message> read = decode_message(encode(message));
    ASSERT_TRUE(read) << i;
    EXPECT_EQ(read->operation, message.operation);
    EXPECT_EQ(read->size, UINT64_MAX);
    EXPECT_EQ(read->urls, message.urls);
    EXPECT_EQ(read->target, 3u);
  }
}

TEST(Messages, AFailureKeepsKindErrnoAndHint) {
  Report report;
  report.id = 9;
  report.kind = Report::Kind::kFailed;
  report.plain_http = true;
  report.error =
      Error(ErrorKind::kCorrupt, "it has the digest 'x'").set_errnum(5).set_hint("do this");
  Result<Report> read = decode_report(encode(report));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->id, 9u);
  EXPECT_EQ(read->kind, Report::Kind::kFailed);
  EXPECT_TRUE(read->plain_http);
  EXPECT_EQ(read->error.kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(read->error.errnum(), 5);
  EXPECT_EQ(read->error.message(), "it has the digest 'x'");
  EXPECT_EQ(read->error.hint(), "do this");
}

TEST(Messages, BytesThatAreNoTextDoNotBreakAReport) {
  Report report;
  report.kind = Report::Kind::kFailed;
  report.error = Error(ErrorKind::kUnavailable, "\xff\xfe said the server");
  EXPECT_TRUE(decode_report(encode(report)));
}

TEST(Messages, HostilePacketsAreRefused) {
  std::string deep = R"({"v":1,"id":1,"event":"done","bytes":)";
  for (int i = 0; i < 100'000 && deep.size() < kMaxPacket - 10; ++i) deep += '[';
  struct {
    const char* what;
    std::string text;
  } packets[] = {
      {"nothing", ""},
      {"no JSON", "hello"},
      {"a list", "[]"},
      {"no version", R"({"id":1,"event":"done"})"},
      {"another version", R"({"v":2,"id":1,"event":"done"})"},
      {"no event", R"({"v":1,"id":1})"},
      {"an unknown event", R"({"v":1,"id":1,"event":"explode"})"},
      {"an unknown key", R"({"v":1,"id":1,"event":"done","x":1})"},
      {"a negative id", R"({"v":1,"id":-1,"event":"done"})"},
      {"a fraction", R"({"v":1,"id":1,"event":"done","bytes":1.5})"},
      {"a number for a text", R"({"v":1,"id":1,"event":"done","digest":1})"},
      {"an error of a wrong shape", R"({"v":1,"id":1,"event":"failed","error":{"kind":1}})"},
      {"depth", deep},
      {"size", R"({"v":1,"id":1,"event":"done","digest":")" + std::string(kMaxPacket, 'a') + "\"}"},
  };
  for (const auto& [what, text] : packets) EXPECT_FALSE(decode_report(text)) << what;
  EXPECT_FALSE(decode_message(R"({"v":1,"id":1,"op":"open","open":{"verify_tls":1}})"));
  EXPECT_FALSE(decode_message(R"({"v":1,"id":1,"op":"open","open":{"credentials":{"x":"y"}}})"));
  EXPECT_FALSE(decode_message(R"({"v":1,"id":1,"op":"open","open":{"stall_ms":4294967296}})"));
}

}  // namespace
}  // namespace wherry::wire
