// The bus and systemd's scopes against a bus of the test's own.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "runtime/cgroup_systemd.h"

namespace wherry::runtime {
namespace {

// A message as systemd would send it: type, serial of the call, signature and texts.
std::string answer(uint8_t type, uint32_t reply_to, const std::string& member,
                   const std::string& signature, const std::string& body) {
  DbusWriter header;
  header.byte('l');
  header.byte(type);
  header.byte(0);
  header.byte(1);
  header.u32(static_cast<uint32_t>(body.size()));
  header.u32(77);
  const size_t fields = header.begin_array(8);
  if (reply_to != 0) {
    header.align(8);
    header.byte(5);
    header.signature("u");
    header.u32(reply_to);
  }
  auto text = [&](uint8_t number, const char* kind, const std::string& value) {
    if (value.empty()) return;
    header.align(8);
    header.byte(number);
    header.signature(kind);
    if (*kind == 'g')
      header.signature(value);
    else
      header.text(value);
  };
  text(type == 3 ? 4 : 3, "s", member);
  text(8, "g", signature);
  header.end_array(fields);
  header.align(8);
  return header.bytes() + body;
}

std::string texts(std::initializer_list<const char*> values, bool number_first = false) {
  DbusWriter body;
  if (number_first) body.u32(9);
  for (const char* value : values) body.text(value);
  return body.bytes();
}

// Answers every call on one connection; `refused`: members that get an error.
class FakeBus {
 public:
  explicit FakeBus(std::string refused = "", std::string result = "done")
      : refused_(std::move(refused)), result_(std::move(result)) {
    char name[] = "/tmp/wherry-bus-XXXXXX";
    EXPECT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    listener_ = sys::Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(listener_.get(), 1), 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeBus() {
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    std::filesystem::remove_all(directory_);
  }
  std::string path() const { return directory_ + "/bus"; }

  std::vector<DbusMessage> calls;
  std::string greeting;

 private:
  void serve() {
    sys::Fd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection) return;
    std::string received;
    char buffer[4096];
    bool begun = false;
    for (ssize_t got; (got = read(connection.get(), buffer, sizeof buffer)) > 0;) {
      received.append(buffer, static_cast<size_t>(got));
      if (greeting.empty() && received.find("\r\n") != std::string::npos) {
        greeting = received.substr(0, received.find("\r\n"));
        received.erase(0, greeting.size() + 2);
        say(connection, "OK 1234deadbeef\r\n");
      }
      if (!begun && received.starts_with("BEGIN\r\n")) {
        received.erase(0, 7);
        begun = true;
      }
      while (begun) {
        auto message = take_message(received);
        if (!message || !*message) break;
        reply(connection, **message);
        calls.push_back(std::move(**message));
      }
    }
  }
  void reply(const sys::Fd& to, const DbusMessage& call) {
    if (call.member == refused_) {
      say(to, answer(3, call.serial, "org.freedesktop.systemd1.NoSuchUnit", "s",
                     texts({"it is not loaded"})));
    } else if (call.member == "StartTransientUnit") {
      // Another unit's job first: it is not ours.
      say(to, answer(4, 0, "JobRemoved", "uoss", texts({"/job/1", "other", "failed"}, true)));
      say(to, answer(2, call.serial, "", "o", texts({"/job/2"})));
      say(to, answer(4, 0, "JobRemoved", "uoss",
                     texts({"/job/2", "box.scope", result_.c_str()}, true)));
    } else {
      say(to, answer(2, call.serial, "", "", ""));
    }
  }
  static void say(const sys::Fd& to, const std::string& bytes) {
    [[maybe_unused]] const auto written = sys::write_all(to.get(), bytes);
  }

  std::string refused_, result_, directory_;
  sys::Fd listener_;
  std::thread thread_;
};

bool called(const FakeBus& bus, const std::string& member) {
  return std::ranges::any_of(bus.calls, [&](const auto& call) { return call.member == member; });
}

TEST(Systemd, MakesAScopeAroundAProcessAndWaitsForItsJob) {
  FakeBus bus;
  {
    auto systemd = SystemdScopes::open(bus.path());
    ASSERT_TRUE(systemd) << systemd.error().message();
    auto started = systemd->start("box.scope", "user.slice", 4711, {{"MemoryMax", 't', 99, {}}});
    ASSERT_TRUE(started) << started.error().message();
    ASSERT_TRUE(systemd->stop("box.scope"));
    ASSERT_TRUE(systemd->set("box.scope", {{"TasksMax", 't', 7, {}}}));
  }
  EXPECT_TRUE(bus.greeting.ends_with("AUTH EXTERNAL 30") || geteuid() != 0) << bus.greeting;
  EXPECT_TRUE(called(bus, "Hello") && called(bus, "Subscribe") && called(bus, "StopUnit"));
  const auto start = std::ranges::find(bus.calls, "StartTransientUnit", &DbusMessage::member);
  ASSERT_NE(start, bus.calls.end());
  EXPECT_EQ(start->signature, "ssa(sv)a(sa(sv))");
  EXPECT_EQ(start->texts, (std::vector<std::string>{"box.scope", "fail"}));
  for (const char* word : {"Slice", "user.slice", "Delegate", "PIDs", "MemoryMax", "Description"})
    EXPECT_NE(start->body.find(word), std::string::npos) << word;
  const uint32_t pid = 4711;
  EXPECT_NE(start->body.find(std::string(reinterpret_cast<const char*>(&pid), 4)),
            std::string::npos);
}

TEST(Systemd, SaysWhatSystemdSaidOfAJobThatFailed) {
  FakeBus bus("", "failed");
  auto systemd = SystemdScopes::open(bus.path());
  ASSERT_TRUE(systemd);
  auto started = systemd->start("box.scope", "user.slice", 1, {});
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().message(), "cannot make the unit 'box.scope': systemd says 'failed'");
}

TEST(Systemd, AUnitThatIsNotThereIsStoppedAndCannotBeChanged) {
  {
    FakeBus bus("StopUnit");
    auto systemd = SystemdScopes::open(bus.path());
    ASSERT_TRUE(systemd);
    EXPECT_TRUE(systemd->stop("box.scope"));
  }
  FakeBus bus("SetUnitProperties");
  auto systemd = SystemdScopes::open(bus.path());
  ASSERT_TRUE(systemd);
  auto changed = systemd->set("box.scope", {{"TasksMax", 't', 1, {}}});
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().message(),
            "cannot change the unit 'box.scope': cannot call 'SetUnitProperties': "
            "org.freedesktop.systemd1.NoSuchUnit: it is not loaded");
}

TEST(Systemd, AHostWithoutABusIsTold) {
  auto systemd = SystemdScopes::open("/no/such/bus");
  ASSERT_FALSE(systemd);
  EXPECT_NE(systemd.error().message().find("cannot use systemd's cgroups"), std::string::npos);
  EXPECT_NE(systemd.error().hint().find("--systemd-cgroup"), std::string::npos);
}

TEST(Systemd, LimitsHaveTheNamesOfEachVersion) {
  oci::Resources resources;
  resources.memory_limit = 100;
  resources.memory_swap = 150;
  resources.memory_reservation = 50;
  resources.cpu_shares = 1024;
  resources.cpu_quota = 50'000;
  resources.cpu_period = 100'000;
  resources.pids_limit = -1;
  resources.blkio_weight = 1000;
  EXPECT_EQ(unit_properties(resources, true),
            (std::vector<UnitProperty>{{"MemoryMax", 't', 100, {}},
                                       {"MemoryLow", 't', 50, {}},
                                       {"MemorySwapMax", 't', 50, {}},
                                       {"CPUWeight", 't', 100, {}},
                                       {"CPUQuotaPerSecUSec", 't', 500'000, {}},
                                       {"CPUQuotaPeriodUSec", 't', 100'000, {}},
                                       {"TasksMax", 't', UINT64_MAX, {}},
                                       {"IOWeight", 't', 10'000, {}}}));
  EXPECT_EQ(unit_properties(resources, false),
            (std::vector<UnitProperty>{{"MemoryLimit", 't', 100, {}},
                                       {"CPUShares", 't', 1024, {}},
                                       {"CPUQuotaPerSecUSec", 't', 500'000, {}},
                                       {"CPUQuotaPeriodUSec", 't', 100'000, {}},
                                       {"TasksMax", 't', UINT64_MAX, {}},
                                       {"BlockIOWeight", 't', 1000, {}}}));
}

TEST(Dbus, HostileMessagesAreRefusedOrWaitedFor) {
  const std::string whole = answer(4, 0, "JobRemoved", "uoss", texts({"/j", "u", "done"}, true));
  for (size_t size = 0; size < whole.size(); ++size) {
    std::string part = whole.substr(0, size);
    auto message = take_message(part);
    ASSERT_TRUE(message) << size;
    EXPECT_FALSE(*message) << size;
  }
  std::string all = whole + "rest";
  auto message = take_message(all);
  ASSERT_TRUE(message && *message);
  EXPECT_EQ((*message)->texts, (std::vector<std::string>{"/j", "u", "done"}));
  EXPECT_EQ(all, "rest");
  std::string big = whole;
  big[7] = '\x7f';  // the body's size
  EXPECT_FALSE(take_message(big));
  std::string order = whole;
  order[0] = 'B';
  EXPECT_FALSE(take_message(order));
  for (size_t at = 12; at < whole.size(); ++at) {
    std::string bent = whole;
    bent[at] = static_cast<char>(bent[at] ^ 0x55);
    [[maybe_unused]] auto survived = take_message(bent);
  }
}

}  // namespace
}  // namespace wherry::runtime
