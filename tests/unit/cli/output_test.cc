#include "cli/output.h"

#include <gtest/gtest.h>

#include "cli/exit_code.h"
#include "cli/rows.h"
#include "cli/terminal.h"

namespace wherry::cli {
namespace {

TEST(HumanSize, HasThreeSignificantDecimalDigits) {
  EXPECT_EQ(human_size(0), "0B");
  EXPECT_EQ(human_size(999), "999B");
  EXPECT_EQ(human_size(1000), "1kB");
  EXPECT_EQ(human_size(77'800'000), "77.8MB");
  EXPECT_EQ(human_size(117'123'456), "117MB");
  EXPECT_EQ(human_size(1'234'000'000), "1.23GB");
  EXPECT_EQ(human_size(UINT64_MAX), "18.4EB");
}

TEST(Ellipsis, CountsCharactersNotBytes) {
  EXPECT_EQ(ellipsis("short", 10), "short");
  EXPECT_EQ(ellipsis("exactly ten", 11), "exactly ten");
  EXPECT_EQ(ellipsis("longer than ten", 10), "longer th…");
  EXPECT_EQ(ellipsis("äöüäöü", 4), "äöü…");
}

TEST(Columns, AreAsWideAsTheirWidestCell) {
  EXPECT_EQ(align_columns("A\tB\nlonger ones\tx\n"), "A             B\nlonger ones   x\n");
  EXPECT_EQ(align_columns("ä234567\tB\näa345678\tx\n"), "ä234567    B\näa345678   x\n");
}

TEST(Columns, AreAtLeastTenWide) {
  EXPECT_EQ(align_columns("A\tB\nlong\tx\n"), "A         B\nlong      x\n");
}

TEST(Printable, ControlCharactersDoNotReachTheTerminal) {
  EXPECT_EQ(printable("a\x1b[31mb\n\x7f"), "a?[31mb??");
}

TEST(DetachKeys, AreFoundAcrossReadsAndHeldBackUntilSure) {
  DetachKeys keys(*parse_detach_keys("ctrl-p,ctrl-q"));
  EXPECT_EQ(keys.feed("ab\x10").data, "ab");
  auto other = keys.feed("c");
  EXPECT_EQ(other.data,
            "\x10"
            "c");
  EXPECT_FALSE(other.detach);
  EXPECT_EQ(keys.feed("\x10").data, "");
  EXPECT_EQ(keys.feed("\x10").data, "\x10");
  auto found = keys.feed("\x11more");
  EXPECT_TRUE(found.detach);
  EXPECT_EQ(found.data, "");
}

TEST(DetachKeys, TheSpellingIsChecked) {
  EXPECT_EQ(*parse_detach_keys("ctrl-a,b,ctrl-@,ctrl-["), std::string("\x01"
                                                                      "b\0\x1b",
                                                                      4));
  for (std::string_view bad : {"", "ctrl-", "ctrl-1", "ab", "ctrl-p,", "ctrl-pp", "shift-a"})
    EXPECT_FALSE(parse_detach_keys(bad)) << bad;
}

TEST(ExitCode, FollowsTheRuntimesWords) {
  auto code = [](const char* message) {
    return start_failure_code(Error(ErrorKind::kInternal, message), 125);
  };
  EXPECT_EQ(code("cannot start 'x': exec: \"foo\": executable file not found in $PATH"), 127);
  EXPECT_EQ(code("exec: \"/x\": stat /x: no such file or directory"), 127);
  EXPECT_EQ(code("exec: \"/x\": permission denied"), 126);
  EXPECT_EQ(code("exec: \"/x\": is a directory"), 126);
  EXPECT_EQ(code("cannot mount '/data': no such file or directory"), 125);
  EXPECT_EQ(code("cannot open '/var/lib/wherry': permission denied"), 125);
}

TEST(ContainerRow, SaysTheStateInDockersWords) {
  int64_t now = 1'000'000'000'000'000'000;  // 2001-09-09T01:46:40Z
  engine::ContainerState state;
  EXPECT_EQ(container_status(state, now), "Created");
  state.status = "running";
  state.started_at = "2001-09-09T01:46:36Z";
  EXPECT_EQ(container_status(state, now), "Up 4 seconds");
  state.status = "paused";
  EXPECT_EQ(container_status(state, now), "Up 4 seconds (Paused)");
  state.status = "exited";
  state.exit_code = 137;
  state.finished_at = "2001-09-09T01:43:40Z";
  EXPECT_EQ(container_status(state, now), "Exited (137) 3 minutes ago");
}

TEST(ContainerRow, PortsAreSortedByNumber) {
  engine::PortMap ports;
  ports["443/tcp"] = {};
  ports["80/tcp"] = {{"0.0.0.0", "8080"}, {"::", "8080"}};
  EXPECT_EQ(port_words(ports), "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 443/tcp");
}

TEST(ContainerRow, TheCommandIsQuotedAndCut) {
  engine::ContainerRecord record;
  record.id = std::string(64, 'a');
  record.path = "sh";
  record.args = {"-c", "while true; do sleep 1; done"};
  Row row = container_row(record, false, 0);
  EXPECT_EQ(row.fields["Command"], "\"sh -c while true; d…\"");
  EXPECT_EQ(row.fields["ID"], "aaaaaaaaaaaa");
  EXPECT_EQ(container_row(record, true, 0).fields["ID"], record.id);
}

}  // namespace
}  // namespace wherry::cli
