// Remote against a registry by TLS: whose certificates are trusted, and where nothing is sent to.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <filesystem>

#include "kernel/transfer/fake_registry.h"
#include "sys/sha256.h"

namespace wherry::transfer {
namespace {

class RemoteTlsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    enter_own_network();
    char name[] = "/tmp/certificates-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    certify("registry", "IP:127.0.0.1");
    certify("other", "DNS:other.example");
    certify("client", "DNS:client");
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }

  // A self-signed certificate is its own authority.
  static void certify(const std::string& name, const std::string& alternative) {
    sys::SpawnOptions options;
    options.program = "/usr/bin/openssl";
    options.arguments = {"openssl",
                         "req",
                         "-x509",
                         "-newkey",
                         "ec",
                         "-pkeyopt",
                         "ec_paramgen_curve:prime256v1",
                         "-nodes",
                         "-days",
                         "2",
                         "-subj",
                         "/CN=" + name,
                         "-addext",
                         "subjectAltName=" + alternative,
                         "-keyout",
                         file(name + ".key"),
                         "-out",
                         file(name + ".crt")};
    Result<sys::Finished> done = sys::run_program(std::move(options), 1u << 16);
    ASSERT_TRUE(done && done->code == 0) << (done ? done->err : done.error().message());
    // Only root may read the key: it must not be the helper that opens it.
    ASSERT_EQ(chmod(file(name + ".key").c_str(), 0600), 0);
  }
  static std::string file(const std::string& name) { return folder_ + "/" + name; }
  static std::string options(const std::string& name, const std::string& more = "") {
    return R"({"certificate":")" + file(name + ".crt") + R"(","key":")" + file(name + ".key") +
           "\"" + more + "}";
  }
  static Result<RemoteManifest> ask(const Endpoint& endpoint) {
    Result<Remote> remote = Remote::open(endpoint, "team/app", "pull");
    if (!remote) return Error(remote.error());
    return remote->get_manifest("v1");
  }

  static inline std::string folder_;
};

const std::vector<std::string> kContent = {"--manifest", "team/app:v1={}"};

TEST_F(RemoteTlsTest, AnAuthorityOfCertsDIsTrusted) {
  Fake fake(options("registry"), kContent);
  Endpoint endpoint = fake.endpoint("", "https");
  Result<RemoteManifest> untrusted = ask(endpoint);
  ASSERT_FALSE(untrusted);
  EXPECT_EQ(untrusted.error().kind(), ErrorKind::kUnavailable);
  EXPECT_NE(untrusted.error().message().find("is not trusted"), std::string::npos);
  EXPECT_NE(untrusted.error().hint().find("/etc/docker/certs.d/"), std::string::npos);
  endpoint.ca_file = file("registry.crt");
  Result<RemoteManifest> trusted = ask(endpoint);
  EXPECT_TRUE(trusted) << trusted.error().message();
}

TEST_F(RemoteTlsTest, AnInsecureRegistryIsNotVerified) {
  Fake fake(options("other"), kContent);
  Endpoint endpoint = fake.endpoint("", "https");
  endpoint.verify_tls = false;
  Result<RemoteManifest> manifest = ask(endpoint);
  EXPECT_TRUE(manifest) << manifest.error().message();
}

TEST_F(RemoteTlsTest, ACertificateOfAnotherHostIsRefused) {
  Fake fake(options("other"), kContent);
  Endpoint endpoint = fake.endpoint("", "https");
  endpoint.ca_file = file("other.crt");
  Result<RemoteManifest> manifest = ask(endpoint);
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().kind(), ErrorKind::kUnavailable) << manifest.error().message();
}

TEST_F(RemoteTlsTest, AClientCertificateOpensTheDoor) {
  Fake fake(options("registry", R"(,"client_ca":")" + file("client.crt") + "\""), kContent);
  Endpoint endpoint = fake.endpoint("", "https");
  endpoint.ca_file = file("registry.crt");
  EXPECT_FALSE(ask(endpoint));
  endpoint.client_cert = file("client.crt");
  endpoint.client_key = file("client.key");
  Result<RemoteManifest> manifest = ask(endpoint);
  EXPECT_TRUE(manifest) << manifest.error().message();
}

TEST_F(RemoteTlsTest, AMissingAuthorityIsNamed) {
  Endpoint endpoint;
  endpoint.base_url = "https://127.0.0.1:1";
  endpoint.ca_file = file("nowhere.crt");
  Result<RemoteManifest> manifest = ask(endpoint);
  ASSERT_FALSE(manifest);
  EXPECT_NE(manifest.error().message().find("nowhere.crt"), std::string::npos);
}

TEST_F(RemoteTlsTest, ATokenServerByHttpGetsNothingFromARegistryByHttps) {
  Fake evil(R"({"auth":"token"})");
  Fake fake(
      options("registry", R"(,"auth":"token","realm":"http://)" + evil.address() + R"(/token")"),
      kContent);
  Endpoint endpoint = fake.endpoint("secret", "https");
  endpoint.ca_file = file("registry.crt");
  Result<RemoteManifest> manifest = ask(endpoint);
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().kind(), ErrorKind::kUnavailable);
  for (const std::string& word : {"http://" + evil.address(), std::string("not encrypted")})
    EXPECT_NE(manifest.error().message().find(word), std::string::npos)
        << manifest.error().message();
  EXPECT_EQ(evil.count({"/token"}), 0u);
}

TEST_F(RemoteTlsTest, ABlobIsNotSentWhereTheProxyInFrontForgotTheEncryption) {
  Fake plain("{}");
  Fake fake(options("registry", R"(,"faults":{"POST .*uploads":{"headers":{"Location":"http://)" +
                                    plain.address() + R"(/v2/team/app/blobs/uploads/x"}}})"));
  Endpoint endpoint = fake.endpoint("", "https");
  endpoint.ca_file = file("registry.crt");
  Remote remote = std::move(*Remote::open(endpoint, "team/app", "pull,push"));
  sys::Fd blob(memfd_create("blob", MFD_CLOEXEC));
  ASSERT_TRUE(sys::write_all(blob.get(), "content"));
  ASSERT_TRUE(remote.start_upload({sys::sha256("content"), 7, blob.get()}));
  Result<Remote::Event> event = remote.next();
  ASSERT_TRUE(event && event->error);
  EXPECT_NE(event->error->message().find("not encrypted"), std::string::npos)
      << event->error->message();
  EXPECT_NE(event->error->hint().find("X-Forwarded-Proto"), std::string::npos);
  EXPECT_EQ(plain.count({"uploads"}), 0u);
}

TEST_F(RemoteTlsTest, ARedirectFromHttpsToHttpIsRefused) {
  Fake plain("{}", kContent);
  Fake fake(
      options("registry", R"(,"faults":{"manifests":{"status":307,"headers":{"Location":"http://)" +
                              plain.address() + R"(/v2/team/app/manifests/v1"}}})"),
      kContent);
  Endpoint endpoint = fake.endpoint("", "https");
  endpoint.ca_file = file("registry.crt");
  Result<RemoteManifest> manifest = ask(endpoint);
  ASSERT_FALSE(manifest);
  EXPECT_NE(manifest.error().message().find("not encrypted"), std::string::npos);
  EXPECT_EQ(plain.count({"manifests"}), 0u);
}

}  // namespace
}  // namespace wherry::transfer
