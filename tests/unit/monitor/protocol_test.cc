#include "monitor/protocol.h"

#include <gtest/gtest.h>

#include <random>

namespace wherry::monitor {
namespace {

template <typename M>
M round_trip(const M& message) {
  Result<Message> decoded = decode(encode(message));
  EXPECT_TRUE(decoded) << (decoded ? "" : decoded.error().message());
  if (!decoded) return M();
  EXPECT_TRUE(std::holds_alternative<M>(*decoded));
  return std::get<M>(*decoded);
}

TEST(Protocol, CarriesMessagesWithoutFields) {
  round_trip(Start{});
  round_trip(InputEof{});
  round_trip(WatchExit{});
  round_trip(WatchLog{});
  round_trip(WillSettle{});
  round_trip(Settled{});
  round_trip(LogGrew{});
  round_trip(Done{});
}

TEST(Protocol, CarriesEveryFieldOfClientMessages) {
  EXPECT_EQ(round_trip(Hello{7}).protocol, 7);
  Attach attach = round_trip(Attach{true, false, true});
  EXPECT_TRUE(attach.in && !attach.out && attach.err);
  Resize resize = round_trip(Resize{65535, 80});
  EXPECT_EQ(resize.rows, 65535);
  EXPECT_EQ(resize.columns, 80);
  EXPECT_EQ(round_trip(Signal{15}).number, 15);
  EXPECT_TRUE(round_trip(ThawIfGone{true}).on);
  EXPECT_FALSE(round_trip(ThawIfGone{false}).on);
}

TEST(Protocol, CarriesEveryFieldOfMonitorMessages) {
  Welcome welcome = round_trip(Welcome{1, "running", {"a", "b"}});
  EXPECT_EQ(welcome.protocol, 1);
  EXPECT_EQ(welcome.status, "running");
  EXPECT_EQ(welcome.warnings, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(round_trip(Started{4711}).pid, 4711);
  Exited exited = round_trip(Exited{137, 9, true, 1'795'000'000'123'456'789});
  EXPECT_EQ(exited.code, 137);
  EXPECT_EQ(exited.signal, 9);
  EXPECT_TRUE(exited.oom_killed);
  EXPECT_EQ(exited.finished_ns, 1'795'000'000'123'456'789);
}

TEST(Protocol, CarriesRawBytesUnchanged) {
  std::string bytes;
  for (int i = 0; i < 512; ++i) bytes += static_cast<char>(i);
  EXPECT_EQ(round_trip(Input{bytes}).data, bytes);
  Output output = round_trip(Output{2, bytes});
  EXPECT_EQ(output.stream, 2);
  EXPECT_EQ(output.data, bytes);
}

TEST(Protocol, CarriesErrorsWithKindErrnoAndHint) {
  Error error =
      Error(ErrorKind::kConflict, "port '80' \xff is taken").set_errnum(98).set_hint("free it");
  Failed failed = round_trip(Failed{error});
  EXPECT_EQ(failed.error.kind(), ErrorKind::kConflict);
  EXPECT_EQ(failed.error.errnum(), 98);
  EXPECT_EQ(failed.error.message(), "port '80' \xff is taken");
  EXPECT_EQ(failed.error.hint(), "free it");
}

TEST(Protocol, RefusesPacketsThatAreNotWhole) {
  using namespace std::string_literals;
  for (const std::string& packet :
       {""s, "\x01"s, "\x01{"s, "\x01{}"s, "\x01[1]"s, "\x01{\"protocol\":\"1\"}"s,
        "\x01{\"protocol\":99999999999}"s, "\x01{\"protocol\":1,\"more\":2}"s,
        "\x06{\"rows\":-1,\"columns\":2}"s, "\x06{\"rows\":65536,\"columns\":2}"s,
        "\x02{\"in\":1,\"out\":true,\"err\":true}"s, "\x42"s, "\x42\x03x"s, "\x42\x00x"s, "\x03"s,
        "\x03null"s}) {
    Result<Message> decoded = decode(packet);
    ASSERT_FALSE(decoded) << packet;
    EXPECT_EQ(decoded.error().kind(), ErrorKind::kCorrupt) << packet;
  }
}

TEST(Protocol, RefusesUnknownTypesAndTooLongPackets) {
  EXPECT_EQ(decode("\x7f{}").error().kind(), ErrorKind::kUnsupported);
  EXPECT_FALSE(decode(std::string(kMaxPacket + 1, '\x04')));
  EXPECT_TRUE(decode(std::string(kMaxPacket, '\x04')));
}

TEST(Protocol, RefusesDeepNesting) {
  std::string packet = "\x01" + std::string(20000, '[') + std::string(20000, ']');
  EXPECT_FALSE(decode(packet));
}

TEST(Protocol, SurvivesRandomBytes) {
  std::mt19937 random(20261123);
  const std::string valid = encode(Exited{1, 2, false, 3});
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string packet = valid;
    for (int k = 0; k < 3; ++k) packet[random() % packet.size()] = static_cast<char>(random());
    packet.resize(random() % (packet.size() + 1));
    if (decode(packet)) ++accepted;
  }
  EXPECT_LT(accepted, 20000);
}

TEST(RunState, ComesBackFromItsJson) {
  RunState state{"exited", 12, 345, 67, 1'000, 2'000, 137, 9, true, "cannot start", "not_found"};
  Result<RunState> parsed = parse_run_state(to_json(state));
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(to_json(*parsed), to_json(state));
  EXPECT_EQ(parsed->start_time, 345u);
  EXPECT_EQ(parsed->error_kind, "not_found");
}

TEST(RunState, RefusesUnknownStatusAndTruncatedFiles) {
  RunState state;
  state.status = "sleeping";
  EXPECT_FALSE(parse_run_state(to_json(state)));
  std::string text = to_json(RunState());
  for (size_t length = 0; length < text.size(); ++length)
    EXPECT_FALSE(parse_run_state(text.substr(0, length))) << length;
}

}  // namespace
}  // namespace wherry::monitor
