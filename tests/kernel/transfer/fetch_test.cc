// Fetching from a server of the test's own, in a network namespace of its own.
#include "transfer/fetch.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "kernel/transfer/fake_registry.h"

namespace wherry::transfer {
namespace {

constexpr int kPort = 8123;

std::string response(const std::string& path) {
  std::string end = "Connection: close\r\n\r\n";
  auto moved = [&](const std::string& to) {
    return "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + to + "\r\n" + end;
  };
  if (path == "/ok") return "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + end + "hello";
  if (path == "/moved") return moved("/ok");
  if (path == "/loop") return moved("/loop");
  if (path == "/file") return moved("file:///etc/passwd");
  if (path == "/big") {
    std::string body(300'000, 'b');
    return "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n" + end + body;
  }
  if (path == "/cut") return "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n" + end + "only this";
  return "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n" + end + "gone";
}

[[noreturn]] void serve(int listener) {
  for (;;) {
    sys::Fd client(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    std::string request;
    char buffer[4096];
    while (request.find("\r\n\r\n") == request.npos) {
      ssize_t got = read(client.get(), buffer, sizeof buffer);
      if (got <= 0) break;
      request.append(buffer, static_cast<size_t>(got));
      if (request.front() == 0x16) break;  // a TLS greeting; it gets a plain answer
    }
    size_t begin = request.find(' ') + 1;
    std::string path = request.substr(begin, request.find(' ', begin) - begin);
    [[maybe_unused]] Result<void> sent = sys::write_all(client.get(), response(path));
  }
}

class FetchTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    enter_own_network();
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    use_own_resolver();
    sys::Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(kPort);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(listener.get(), 16), 0);
    server_ = fork();
    ASSERT_GE(server_, 0);
    if (server_ == 0) serve(listener.get());
  }
  // A name server that refuses at once, instead of the machine's that no one here can reach.
  static void use_own_resolver() {
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount("tmpfs", "/mnt", "tmpfs", 0, "size=64k"), 0);
    Result<sys::Fd> conf = sys::open_file("/mnt/resolv.conf", O_WRONLY | O_CREAT, 0644);
    ASSERT_TRUE(conf);
    ASSERT_TRUE(sys::write_all(conf->get(), "nameserver 127.0.0.1\n"));
    ASSERT_EQ(mount("/mnt/resolv.conf", "/etc/resolv.conf", nullptr, MS_BIND, nullptr), 0);
  }
  static void TearDownTestSuite() {
    kill(server_, SIGKILL);
    waitpid(server_, nullptr, 0);
  }

  static std::string url(const std::string& path) {
    return "http://127.0.0.1:" + std::to_string(kPort) + path;
  }
  struct Outcome {
    std::string body;
    Result<uint64_t> end;
  };
  static Outcome fetch(const std::string& address, uint64_t limit = 0) {
    Result<Fetch> started = fetch_url(address, limit);
    if (!started) return {"", std::move(started.error())};
    Result<std::string> body = sys::read_all(started->body(), 1u << 20);
    return {body ? *body : "", started->finish()};
  }
  static void expect_failure(const std::string& address, const std::string& words,
                             uint64_t limit = 0) {
    Outcome outcome = fetch(address, limit);
    ASSERT_FALSE(outcome.end) << address;
    EXPECT_NE(outcome.end.error().message().find(words), std::string::npos)
        << outcome.end.error().message();
  }

  static inline pid_t server_ = -1;
};

TEST_F(FetchTest, GivesTheBodyAndItsSize) {
  Outcome outcome = fetch(url("/ok"));
  ASSERT_TRUE(outcome.end) << outcome.end.error().message();
  EXPECT_EQ(outcome.body, "hello");
  EXPECT_EQ(*outcome.end, 5u);
}

TEST_F(FetchTest, FollowsRedirects) {
  EXPECT_EQ(fetch(url("/moved")).body, "hello");
}

TEST_F(FetchTest, EndsARedirectLoop) {
  expect_failure(url("/loop"), "redirects");
}

TEST_F(FetchTest, NeverFollowsARedirectToAFile) {
  Outcome outcome = fetch(url("/file"));
  EXPECT_FALSE(outcome.end);
  EXPECT_EQ(outcome.body, "");
}

TEST_F(FetchTest, AnErrorPageIsNoBody) {
  Outcome outcome = fetch(url("/nothing"));
  ASSERT_FALSE(outcome.end);
  EXPECT_EQ(outcome.end.error().kind(), ErrorKind::kNotFound);
  EXPECT_NE(outcome.end.error().message().find("the server answered 404"), std::string::npos);
  EXPECT_EQ(outcome.body, "");
}

TEST_F(FetchTest, ABodyThatIsCutIsAnError) {
  expect_failure(url("/cut"), "cannot fetch");
}

TEST_F(FetchTest, StopsAtTheLimit) {
  expect_failure(url("/big"), "larger than 1000 bytes", 1000);
}

TEST_F(FetchTest, OtherSchemesAndBrokenUrlsAreRefused) {
  expect_failure("file:///etc/passwd", "only http and https");
  expect_failure("ftp://127.0.0.1/x", "only http and https");
  expect_failure("http://", "invalid URL");
  expect_failure("http://a b/", "invalid URL");
}

TEST_F(FetchTest, AnEndlessUrlIsRefused) {
  EXPECT_FALSE(fetch("http://" + std::string(500'000, 'a')).end);
}

TEST_F(FetchTest, AClosedPortIsUnavailable) {
  Outcome outcome = fetch("http://127.0.0.1:1/x");
  ASSERT_FALSE(outcome.end);
  EXPECT_EQ(outcome.end.error().kind(), ErrorKind::kUnavailable);
}

TEST_F(FetchTest, AnUnknownHostIsNamed) {
  expect_failure("http://no-such-host.invalid/", "no-such-host");
}

TEST_F(FetchTest, AReaderThatStopsEndsTheTransfer) {
  Result<Fetch> started = fetch_url(url("/big"), 0);
  ASSERT_TRUE(started);
  EXPECT_FALSE(started->finish());
}

TEST_F(FetchTest, HttpsReachesTheHandshake) {
  expect_failure("https://127.0.0.1:" + std::to_string(kPort) + "/ok", "cannot fetch");
}

TEST(IsUrl, TellsUrlsFromFiles) {
  EXPECT_TRUE(is_url("http://a/b"));
  EXPECT_TRUE(is_url("HTTPS://a/b"));
  EXPECT_FALSE(is_url("file.tar"));
  EXPECT_FALSE(is_url("-"));
  EXPECT_FALSE(is_url("httpx://a"));
}

TEST_F(FetchTest, ANameServerThatIsSilentIsNotWaitedForLongerThanAConnection) {
  sys::Fd silent(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(53);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(silent.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  Endpoint endpoint;
  endpoint.domain = "registry.invalid";
  endpoint.base_url = "https://registry.invalid";
  endpoint.connect_ms = 1000;
  Remote remote = std::move(*Remote::open(endpoint, "app", "pull"));
  int64_t begin = monotonic_ns();
  Error error = remote.get_manifest("1").error();
  EXPECT_EQ(error.kind(), ErrorKind::kUnavailable);
  EXPECT_NE(error.message().find("cannot find the address of 'https://registry.invalid:443'"),
            std::string::npos)
      << error.message();
  // The resolver itself would give up after ten seconds.
  EXPECT_LT(monotonic_ns() - begin, 9'000'000'000);
}

}  // namespace
}  // namespace wherry::transfer
