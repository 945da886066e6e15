// Remote against a registry of the test's own, honest and not, in a network namespace of its own.
#include "transfer/remote.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <thread>

#include "base/clock.h"
#include "base/text.h"
#include "kernel/transfer/fake_registry.h"
#include "sys/process.h"
#include "sys/sha256.h"

namespace wherry::transfer {
namespace {

// What fake_registry.py calls pattern().
std::string pattern(size_t size, uint32_t seed) {
  std::string bytes((size + 3) / 4 * 4, '\0');
  for (size_t i = 0; i < bytes.size() / 4; ++i) {
    uint32_t word = seed + static_cast<uint32_t>(i);
    memcpy(&bytes[i * 4], &word, 4);
  }
  bytes.resize(size);
  return bytes;
}

struct Outcome {
  Remote::Event event;
  std::string body;
};

class RemoteTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { enter_own_network(); }
  static Remote open(const Endpoint& endpoint, const std::string& repository = "team/app",
                     const std::vector<std::string>& also_pull = {}) {
    return std::move(*Remote::open(endpoint, repository, "pull,push", also_pull));
  }
  static Remote::Event last_event(Remote& remote) {
    for (;;) {
      Result<Remote::Event> event = remote.next();
      if (!event) return {0, Remote::Event::Kind::kFailed, 0, event.error()};
      if (event->kind != Remote::Event::Kind::kProgress) return *event;
    }
  }
  static Outcome download(Remote& remote, const Digest& digest, uint64_t size,
                          std::vector<std::string> urls = {}) {
    sys::Pipe pipe = *sys::make_pipe();
    BlobJob job{digest, size, pipe.write.get(), std::move(urls)};
    Result<int> id = remote.start_download(job);
    pipe.write.reset();
    Outcome outcome;
    if (!id) {
      outcome.event.error = id.error();
      return outcome;
    }
    std::thread reader([&] { outcome.body = *sys::read_all(pipe.read.get(), 1u << 30); });
    outcome.event = last_event(remote);
    reader.join();
    return outcome;
  }
  static std::optional<Error> upload(Remote& remote, const std::string& bytes) {
    char name[] = "/tmp/blob-XXXXXX";
    sys::Fd file(mkstemp(name));
    unlink(name);
    EXPECT_TRUE(sys::write_all(file.get(), bytes));
    Result<int> id = remote.start_upload({sys::sha256(bytes), bytes.size(), file.get()});
    if (!id) return id.error();
    return last_event(remote).error;
  }
  static void expect_words(const Error& error, ErrorKind kind,
                           const std::vector<std::string>& words) {
    EXPECT_EQ(error.kind(), kind) << error.message();
    for (const std::string& word : words)
      EXPECT_NE(error.message().find(word), std::string::npos) << error.message();
  }
};

constexpr size_t kSize = 3'000'000;
const std::string kBlob = "team/app=3000000@7";

Digest blob_digest() {
  return sys::sha256(pattern(kSize, 7));
}

class AnyLogin : public RemoteTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(AnyLogin, ManifestsTagsAndBlobsComeAndGo) {
  std::string auth = GetParam();
  Fake fake(R"({"page":2,"auth":")" + auth + "\"}",
            {"--blob", kBlob, "--manifest", "team/app:v1={\"m\":1}", "--blob", "team/base=hello"});
  Remote remote = open(fake.endpoint("secret"), "team/app", {"team/base"});
  Result<std::string> login = remote.check_login();
  ASSERT_TRUE(login) << login.error().message();
  EXPECT_EQ(*login, auth == "token" ? "identity-token-of-user" : "");
  Result<RemoteManifest> manifest = remote.get_manifest("v1");
  ASSERT_TRUE(manifest) << manifest.error().message();
  EXPECT_EQ(manifest->bytes, "{\"m\":1}");
  EXPECT_EQ(manifest->media_type, "application/vnd.oci.image.manifest.v1+json");
  EXPECT_EQ(remote.get_manifest(manifest->digest.str())->bytes, manifest->bytes);
  EXPECT_EQ(**remote.head_manifest("v1"), manifest->digest);
  EXPECT_EQ(*remote.head_manifest("v9"), std::nullopt);
  for (const char* tag : {"v2", "v3", "v4"})
    ASSERT_TRUE(remote.put_manifest(tag, "application/vnd.oci.image.manifest.v1+json", "{}"));
  EXPECT_EQ(*remote.list_tags(), (std::vector<std::string>{"v1", "v2", "v3", "v4"}));
  EXPECT_TRUE(*remote.has_blob(blob_digest()));
  EXPECT_FALSE(*remote.has_blob(sys::sha256("other")));
  EXPECT_TRUE(*remote.mount_blob(sys::sha256("hello"), "team/base"));
  EXPECT_FALSE(*remote.mount_blob(sys::sha256("other"), "team/base"));
  EXPECT_FALSE(upload(remote, "other"));
  Outcome outcome = download(remote, blob_digest(), kSize);
  ASSERT_FALSE(outcome.event.error) << outcome.event.error->message();
  EXPECT_EQ(outcome.event.bytes, kSize);
  EXPECT_TRUE(outcome.body == pattern(kSize, 7));
  EXPECT_EQ(download(remote, sys::sha256("other"), 5).body, "other");
}

INSTANTIATE_TEST_SUITE_P(Registry, AnyLogin, ::testing::Values("none", "basic", "token"));

TEST_F(RemoteTest, ManyBlobsComeAtOnceAndOneThatStandsStillHoldsUpNone) {
  Fake fake("{}", {"--blob", kBlob, "--blob", "team/app=200000@1", "--blob", "team/app=300000@2"});
  Remote remote = open(fake.impatient_endpoint());
  sys::Pipe stuck = *sys::make_pipe();
  Result<int> first = remote.start_download({blob_digest(), kSize, stuck.write.get()});
  ASSERT_TRUE(first);
  stuck.write.reset();
  EXPECT_FALSE(download(remote, sys::sha256(pattern(200'000, 1)), 200'000).event.error);
  EXPECT_FALSE(download(remote, sys::sha256(pattern(300'000, 2)), 300'000).event.error);
  // A reader may take its time: that is no stall of the server.
  pollfd wait{remote.fd(), POLLIN, 0};
  EXPECT_EQ(poll(&wait, 1, 3 * kStallMs), 0) << "an event of a transfer whose reader waits";
  std::thread reader([&] { EXPECT_EQ(sys::read_all(stuck.read.get(), kSize)->size(), kSize); });
  Remote::Event event = last_event(remote);
  reader.join();
  EXPECT_EQ(event.id, *first);
  EXPECT_FALSE(event.error) << event.error->message();
}

TEST_F(RemoteTest, ACancelledTransferSaysNothingMore) {
  Fake fake("{}", {"--blob", kBlob});
  Remote remote = open(fake.endpoint());
  sys::Pipe stuck = *sys::make_pipe();
  Result<int> id = remote.start_download({blob_digest(), kSize, stuck.write.get()});
  ASSERT_TRUE(id);
  stuck.write.reset();
  remote.cancel(*id);
  EXPECT_LT(sys::read_all(stuck.read.get(), kSize)->size(), kSize);
  pollfd wait{remote.fd(), POLLIN, 0};
  EXPECT_EQ(poll(&wait, 1, 0), 0);
  EXPECT_FALSE(download(remote, blob_digest(), kSize).event.error);
}

TEST_F(RemoteTest, AReaderThatIsGoneEndsATransferOfASilentRegistry) {
  Fake fake(R"({"faults":{"GET .*/blobs/":{"stall":1000}}})", {"--blob", kBlob});
  Endpoint endpoint = fake.endpoint();
  endpoint.stall_ms = 600'000;
  Remote remote = open(endpoint);
  sys::Pipe pipe = *sys::make_pipe();
  ASSERT_TRUE(remote.start_download({blob_digest(), kSize, pipe.write.get()}));
  pipe.write.reset();
  char c = 0;
  ASSERT_EQ(read(pipe.read.get(), &c, 1), 1);
  pipe.read.reset();
  Remote::Event event = last_event(remote);
  ASSERT_TRUE(event.error);
  EXPECT_EQ(event.error->errnum(), EPIPE) << event.error->message();
}

TEST_F(RemoteTest, EventsThatCameDuringACallMakeTheDescriptorReadable) {
  Fake fake("{}", {"--blob", "team/app=1000@1"});
  Remote remote = open(fake.endpoint());
  sys::Pipe pipe = *sys::make_pipe();
  ASSERT_TRUE(remote.start_download({sys::sha256(pattern(1000, 1)), 1000, pipe.write.get()}));
  pipe.write.reset();
  EXPECT_EQ(sys::read_all(pipe.read.get(), 2000)->size(), 1000u);
  ASSERT_TRUE(remote.has_blob(sys::sha256("x")));
  ASSERT_TRUE(remote.has_blob(sys::sha256("y")));
  pollfd wait{remote.fd(), POLLIN, 0};
  EXPECT_EQ(poll(&wait, 1, 5000), 1);
  EXPECT_EQ(remote.next()->kind, Remote::Event::Kind::kDone);
  EXPECT_EQ(poll(&wait, 1, 0), 0);
}

TEST_F(RemoteTest, ABrokenDownloadGoesOnWhereItBroke) {
  Fake fake(R"({"faults":{"GET .*/blobs/":{"cut":1000000,"times":2}}})", {"--blob", kBlob});
  Remote remote = open(fake.endpoint());
  Outcome outcome = download(remote, blob_digest(), kSize);
  ASSERT_FALSE(outcome.event.error) << outcome.event.error->message();
  EXPECT_TRUE(outcome.body == pattern(kSize, 7));
  EXPECT_EQ(fake.count({"/blobs/", "bytes=1000000-", "if-range"}), 1u);
  EXPECT_EQ(fake.count({"/blobs/", "bytes=2000000-"}), 1u);
}

TEST_F(RemoteTest, ARegistryWithoutRangesIsReadAgainFromTheStart) {
  Fake fake(R"({"ranges":false,"faults":{"GET .*/blobs/":{"cut":999999,"times":1}}})",
            {"--blob", kBlob});
  Remote remote = open(fake.endpoint());
  Outcome outcome = download(remote, blob_digest(), kSize);
  ASSERT_FALSE(outcome.event.error) << outcome.event.error->message();
  EXPECT_TRUE(outcome.body == pattern(kSize, 7));
}

TEST_F(RemoteTest, ADownloadThatAlwaysBreaksEndsAfterFiveRetries) {
  Fake fake(R"({"faults":{"GET .*/blobs/":{"cut":10}}})", {"--blob", kBlob});
  Remote remote = open(fake.endpoint());
  Outcome outcome = download(remote, blob_digest(), kSize);
  ASSERT_TRUE(outcome.event.error);
  expect_words(*outcome.event.error, ErrorKind::kUnavailable,
               {"cannot download blob", blob_digest().str(), "broke"});
  EXPECT_EQ(fake.count({"/blobs/"}), 6u);
}

TEST_F(RemoteTest, WrongBytesAreCorrupt) {
  Fake fake(R"({"faults":{"GET .*/blobs/":{"corrupt":true}}})", {"--blob", kBlob});
  Remote remote = open(fake.endpoint());
  Outcome outcome = download(remote, blob_digest(), kSize);
  ASSERT_TRUE(outcome.event.error);
  expect_words(*outcome.event.error, ErrorKind::kCorrupt,
               {blob_digest().str(), fake.address() + "/team/app", "has the digest 'sha256:"});
  EXPECT_EQ(fake.count({"/blobs/"}), 1u);
}

TEST_F(RemoteTest, WrongSizesAreCorrupt) {
  Fake fake("{}", {"--blob", kBlob});
  Remote remote = open(fake.endpoint());
  for (uint64_t size : {kSize - 1, kSize + 1}) {
    Outcome outcome = download(remote, blob_digest(), size);
    ASSERT_TRUE(outcome.event.error);
    expect_words(*outcome.event.error, ErrorKind::kCorrupt,
                 {"3000000 bytes, not " + std::to_string(size)});
  }
}

TEST_F(RemoteTest, AStallIsGivenUp) {
  Fake fake(
      R"({"faults":{"GET .*/blobs/":{"stall":10},
                   "GET .*/manifests/":{"stall":1}}})",
      {"--blob", kBlob, "--manifest", "team/app:v1={\"m\":1}"});
  Remote remote = open(fake.impatient_endpoint());
  int64_t start = monotonic_ns();
  Outcome outcome = download(remote, blob_digest(), kSize);
  ASSERT_TRUE(outcome.event.error);
  expect_words(*outcome.event.error, ErrorKind::kUnavailable, {"next to nothing"});
  Result<RemoteManifest> manifest = remote.get_manifest("v1");
  ASSERT_FALSE(manifest);
  expect_words(manifest.error(), ErrorKind::kUnavailable, {"manifest 'v1'", "next to nothing"});
  EXPECT_LT((monotonic_ns() - start) / 1'000'000, 30 * kStallMs);
}

TEST_F(RemoteTest, AByteASecondIsAStallToo) {
  Fake fake(R"({"faults":{"GET .*/blobs/":{"drip":true}}})", {"--blob", kBlob});
  Endpoint endpoint = fake.endpoint();
  endpoint.stall_ms = 2500;
  Remote remote = open(endpoint);
  Outcome outcome = download(remote, blob_digest(), kSize);
  ASSERT_TRUE(outcome.event.error);
  expect_words(*outcome.event.error, ErrorKind::kUnavailable, {"next to nothing"});
}

TEST_F(RemoteTest, PassingErrorsAreTriedAgain) {
  Fake fake(
      R"({"faults":{"manifests":{"status":503,"times":2},
                   "blobs":{"status":429,"headers":{"Retry-After":"0"},"times":2}}})",
      {"--blob", kBlob, "--manifest", "team/app:v1={}"});
  Remote remote = open(fake.endpoint());
  EXPECT_TRUE(remote.get_manifest("v1"));
  EXPECT_FALSE(download(remote, blob_digest(), kSize).event.error);
}

TEST_F(RemoteTest, ErrorsCarryTheRegistrysOwnWords) {
  Fake fake(R"({"faults":{
    "manifests/a":{"status":403,"body":
     "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"not \\u001b[31mfor you\"}]}"},
    "manifests/b":{"status":500},
    "manifests/c":{"status":429,"headers":{"Retry-After":"3600"}}}})");
  Remote remote = open(fake.endpoint());
  expect_words(remote.get_manifest("a").error(), ErrorKind::kPermissionDenied,
               {"403", "not \\x1b[31mfor you (DENIED)"});
  expect_words(remote.get_manifest("b").error(), ErrorKind::kUnavailable, {"500"});
  expect_words(remote.get_manifest("c").error(), ErrorKind::kUnavailable, {"429"});
  expect_words(remote.get_manifest("d").error(), ErrorKind::kNotFound,
               {"manifest unknown (MANIFEST_UNKNOWN)"});
}

TEST_F(RemoteTest, AHugeManifestIsRefused) {
  Fake fake(R"({"faults":{"manifests":{"huge":2000000000}}})");
  Remote remote = open(fake.endpoint());
  expect_words(remote.get_manifest("v1").error(), ErrorKind::kResourceExhausted, {"4194304"});
}

TEST_F(RemoteTest, AManifestThatIsNotTheAskedOneIsCorrupt) {
  Fake fake(R"({"faults":{"manifests/sha256":{"replace":"{\"evil\":1}"},
                         "manifests/v1":{"headers":
                          {"Docker-Content-Digest":"sha256:../../etc/passwd"}}}})",
            {"--manifest", "team/app:v1={}"});
  Remote remote = open(fake.endpoint());
  expect_words(remote.get_manifest(sys::sha256("{}").str()).error(), ErrorKind::kCorrupt,
               {"has the digest '" + sys::sha256("{\"evil\":1}").str()});
  expect_words(remote.get_manifest("v1").error(), ErrorKind::kCorrupt, {"etc/passwd"});
}

TEST_F(RemoteTest, AbsurdHeadersAreRefused) {
  Fake fake(R"({"faults":{"manifests":{"headers":{"X-Many":[)" +
                [] {
                  std::string many;
                  for (int i = 0; i < 90; ++i)
                    many += (i ? ",\"" : "\"") + std::string(5000, 'a') + "\"";
                  return many;
                }() +
                R"(]}}}})",
            {"--manifest", "team/app:v1={}"});
  Remote remote = open(fake.endpoint());
  EXPECT_FALSE(remote.get_manifest("v1"));
}

TEST_F(RemoteTest, CredentialsStayWithTheRegistryWhenItSendsUsOn) {
  Fake store("{}", {"--blob", kBlob, "--manifest", "team/app:v1={}"});
  std::string target = "http://" + store.address() + "/v2/team/app/blobs/" + blob_digest().str();
  Fake fake(R"({"auth":"none","faults":{"blobs":{"status":307,"headers":{"Location":")" + target +
                R"("}},"manifests/v1":{"status":302,"headers":
            {"Location":"/v2/team/app/manifests/v2"}}}})",
            {"--manifest", "team/app:v2={}"});
  Fake guard(R"({"auth":"basic","faults":{"blobs":{"status":307,"headers":{"Location":")" + target +
                 R"("}}}})",
             {"--manifest", "team/app:v1={}"});
  Remote remote = open(guard.endpoint("secret"));
  ASSERT_TRUE(remote.get_manifest("v1"));
  EXPECT_FALSE(download(remote, blob_digest(), kSize).event.error);
  EXPECT_EQ(guard.count({"/blobs/", "\"authorization\""}), 1u);
  EXPECT_EQ(store.count({"/blobs/"}), 1u);
  EXPECT_EQ(store.count({"\"authorization\""}), 0u);
  Remote plain = open(fake.endpoint());
  EXPECT_TRUE(plain.get_manifest("v1"));
}

TEST_F(RemoteTest, ARedirectLoopEnds) {
  Fake fake(R"({"faults":{"manifests":{"status":302,"headers":
            {"Location":"/v2/team/app/manifests/v1"}}}})");
  Remote remote = open(fake.endpoint());
  expect_words(remote.get_manifest("v1").error(), ErrorKind::kUnavailable, {"more than 10"});
  EXPECT_EQ(fake.count({"manifests"}), 11u);
}

TEST_F(RemoteTest, ForeignUrlsAreTriedWithoutCredentials) {
  Fake store("{}", {"--blob", kBlob});
  Fake fake(R"({"auth":"basic"})", {"--manifest", "team/app:v1={}"});
  Remote remote = open(fake.endpoint("secret"));
  ASSERT_TRUE(remote.get_manifest("v1"));
  std::string url = "http://" + store.address() + "/v2/team/app/blobs/" + blob_digest().str();
  Outcome outcome = download(remote, blob_digest(), kSize, {url});
  EXPECT_FALSE(outcome.event.error) << outcome.event.error->message();
  EXPECT_EQ(store.count({"\"authorization\""}), 0u);
}

TEST_F(RemoteTest, NobodyGetsInWithAWrongPasswordOrNone) {
  for (const char* auth : {"basic", "token"}) {
    Fake fake(R"({"auth":")" + std::string(auth) + "\"}");
    Remote wrong = open(fake.endpoint("wrong"));
    Result<std::string> login = wrong.check_login();
    ASSERT_FALSE(login) << auth;
    EXPECT_EQ(login.error().kind(), ErrorKind::kPermissionDenied) << login.error().message();
    Remote nobody = open(fake.endpoint());
    Result<RemoteManifest> manifest = nobody.get_manifest("v1");
    ASSERT_FALSE(manifest) << auth;
    EXPECT_EQ(manifest.error().kind(), ErrorKind::kPermissionDenied);
    EXPECT_NE(manifest.error().hint().find("wherry login " + fake.address()), std::string::npos);
  }
}

TEST_F(RemoteTest, AnonymousTokensReadWhatIsPublic) {
  Fake fake(R"({"auth":"token","public":true})", {"--manifest", "team/app:v1={}"});
  Remote remote = open(fake.endpoint());
  EXPECT_TRUE(remote.get_manifest("v1"));
  expect_words(remote.put_manifest("v2", "a/b", "{}").error(), ErrorKind::kPermissionDenied,
               {"401"});
}

TEST_F(RemoteTest, AnIdentityTokenStandsForThePassword) {
  Fake fake(R"({"auth":"token"})", {"--manifest", "team/app:v1={}"});
  Endpoint endpoint = fake.endpoint();
  endpoint.credentials = Credentials{"user", "", "identity-token-of-user"};
  EXPECT_TRUE(open(endpoint).get_manifest("v1"));
  EXPECT_EQ(fake.count({"POST", "/token"}), 1u);
  endpoint.credentials->identity_token = "stolen";
  EXPECT_FALSE(open(endpoint).get_manifest("v1"));
}

TEST_F(RemoteTest, ATokenThatHasExpiredIsRenewed) {
  Fake fake(R"({"auth":"token"})", {"--manifest", "team/app:v1={}"});
  Remote remote = open(fake.endpoint("secret"));
  ASSERT_TRUE(remote.get_manifest("v1"));
  fake.expire_tokens();
  ASSERT_TRUE(remote.get_manifest("v1"));
  EXPECT_EQ(fake.count({"/token"}), 2u);
}

TEST_F(RemoteTest, OneTokenServesTransfersThatBeginTogether) {
  Fake fake(R"({"auth":"token"})", {"--blob", kBlob});
  Remote remote = open(fake.endpoint("secret"));
  std::vector<sys::Fd> files;
  for (int i = 0; i < 4; ++i) {
    files.push_back(*sys::open_file("/dev/null", O_WRONLY));
    ASSERT_TRUE(remote.start_download({blob_digest(), kSize, files.back().get()}));
  }
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(last_event(remote).error);
  EXPECT_EQ(fake.count({"/token"}), 1u);
}

TEST_F(RemoteTest, AnUploadGoesOnWhereItBroke) {
  Fake fake(R"({"faults":{"PUT .*uploads":{"swallow":2000000,"times":1}}})");
  Remote remote = open(fake.endpoint());
  std::string bytes = pattern(5'000'000, 3);
  std::optional<Error> error = upload(remote, bytes);
  ASSERT_FALSE(error) << error->message();
  EXPECT_TRUE(*remote.has_blob(sys::sha256(bytes)));
  EXPECT_EQ(fake.count({"PATCH", "\"content-range\": \"2000000-4999999\""}), 1u);
}

TEST_F(RemoteTest, AnUploadIsCutWhereTheRegistryAsksForChunks) {
  Fake fake(R"({"chunk_min":1000,"relative":false})");
  Remote remote = open(fake.endpoint());
  std::string bytes = pattern((40u << 20) + 5, 3);
  std::optional<Error> error = upload(remote, bytes);
  ASSERT_FALSE(error) << error->message();
  EXPECT_EQ(fake.count({"PATCH"}), 2u);
  EXPECT_EQ(fake.count({"PUT", "\"content-length\": \"0\""}), 1u);
}

TEST_F(RemoteTest, AnUploadThatIsRefusedSaysWhy) {
  Fake fake(R"({"faults":{"PUT .*uploads":{"status":400,"body":
            "{\"errors\":[{\"code\":\"DIGEST_INVALID\",\"message\":\"no match\"}]}"}}})");
  Remote remote = open(fake.endpoint());
  std::optional<Error> error = upload(remote, "content");
  ASSERT_TRUE(error);
  expect_words(*error, ErrorKind::kInvalidArgument,
               {"cannot upload blob", "no match (DIGEST_INVALID)"});
}

TEST_F(RemoteTest, AnUploadWhoseSessionIsLostBeginsAnew) {
  for (const char* status : {"404", "416"}) {
    Fake fake(R"({"faults":{"PUT .*uploads":{"status":)" + std::string(status) +
              R"(,"times":1}}})");
    Remote remote = open(fake.endpoint());
    std::optional<Error> error = upload(remote, "content");
    EXPECT_FALSE(error) << error->message();
    EXPECT_EQ(fake.count({"POST"}), 2u) << status;
  }
}

TEST_F(RemoteTest, AnUploadThatIsStoredAsSomethingElseIsCorrupt) {
  std::string other = sys::sha256("other").str();
  Fake fake(R"({"faults":{"PUT .*uploads":{"headers":{"Docker-Content-Digest":")" + other +
            R"("}}}})");
  Remote remote = open(fake.endpoint());
  std::optional<Error> error = upload(remote, "content");
  ASSERT_TRUE(error);
  expect_words(*error, ErrorKind::kCorrupt, {"the registry stored it as '" + other});
}

TEST_F(RemoteTest, AnUploadNeedsAPlace) {
  Fake fake(R"({"faults":{"POST .*uploads":{"headers":{"Location":null}}}})");
  Remote remote = open(fake.endpoint());
  std::optional<Error> error = upload(remote, "content");
  ASSERT_TRUE(error);
  expect_words(*error, ErrorKind::kCorrupt, {"does not say where to send the blob"});
}

TEST_F(RemoteTest, AManifestsDigestIsFoundWithoutTheHeaderAndWithoutHead) {
  for (const char* fault : {R"("headers":{"Docker-Content-Digest":null})", R"("status":405)"}) {
    Fake fake(R"({"faults":{"HEAD .*manifests":{)" + std::string(fault) + "}}}",
              {"--manifest", "team/app:v1={}"});
    Remote remote = open(fake.endpoint());
    Result<std::optional<Digest>> digest = remote.head_manifest("v1");
    ASSERT_TRUE(digest) << digest.error().message();
    EXPECT_EQ(*digest, sys::sha256("{}")) << fault;
  }
}

TEST_F(RemoteTest, ABlobInAStoreThatRefusesHeadIsThere) {
  Fake store(R"({"faults":{"HEAD":{"status":403}}})");
  Fake fake(R"({"faults":{"HEAD .*blobs":{"status":307,"headers":{"Location":"http://)" +
            store.address() + R"(/signed"}}}})");
  Remote remote = open(fake.endpoint());
  EXPECT_TRUE(*remote.has_blob(blob_digest()));
}

TEST_F(RemoteTest, AListOfTagsGoesOnNowhereElse) {
  Fake fake(R"({"faults":{"tags":{"headers":
            {"Link":"<http://127.0.0.1:1/v2/team/app/tags/list>; rel=\"next\""}}}})",
            {"--manifest", "team/app:v1={}"});
  Remote remote = open(fake.endpoint());
  expect_words(remote.list_tags().error(), ErrorKind::kCorrupt, {"next page is at"});
}

TEST_F(RemoteTest, ATokenServerMustGiveAToken) {
  for (const char* answer : {"{}", "[]", "no json", R"({\"token\":\"a b\"})"}) {
    Fake fake(R"({"auth":"token","faults":{"/token":{"replace":")" + std::string(answer) +
              R"("}}})");
    Remote remote = open(fake.endpoint("secret"));
    expect_words(remote.get_manifest("v1").error(), ErrorKind::kCorrupt,
                 {"cannot get a token for '" + fake.address()});
  }
}

TEST_F(RemoteTest, AFileOfAnotherSizeIsNotSent) {
  Fake fake("{}");
  Remote remote = open(fake.endpoint());
  sys::Fd file = *sys::open_file("/dev/null", O_RDONLY);
  ASSERT_TRUE(remote.start_upload({sys::sha256("x"), 1, file.get()}));
  EXPECT_TRUE(last_event(remote).error);
  EXPECT_EQ(fake.count({"POST"}), 0u);
}

TEST_F(RemoteTest, HttpsToAPlainServerIsToldApart) {
  Fake fake("{}");
  Endpoint endpoint = fake.endpoint();
  endpoint.base_url = "https://" + fake.address();
  endpoint.verify_tls = false;
  Remote remote = open(endpoint);
  Result<RemoteManifest> manifest = remote.get_manifest("v1");
  ASSERT_FALSE(manifest);
  EXPECT_TRUE(remote.met_plain_http()) << manifest.error().message();
  endpoint.base_url = "http://" + fake.address();
  Remote plain = open(endpoint);
  EXPECT_FALSE(plain.get_manifest("v1"));
  EXPECT_FALSE(plain.met_plain_http());
}

TEST_F(RemoteTest, ARegistryThatIsNotThereFailsAtOnce) {
  Endpoint endpoint;
  endpoint.domain = "127.0.0.1:1";
  endpoint.base_url = "http://127.0.0.1:1";
  Remote remote = open(endpoint);
  expect_words(remote.get_manifest("v1").error(), ErrorKind::kUnavailable,
               {"127.0.0.1:1", "connection refused"});
}

TEST_F(RemoteTest, NamesThatWouldBeOtherUrlsAreRefused) {
  Endpoint endpoint;
  endpoint.base_url = "http://127.0.0.1:1";
  for (const char* name : {"../x", "a//b", "a/../b", "A", "a?b", "a%2fb", "a b", "-a"})
    EXPECT_FALSE(Remote::open(endpoint, name, "pull")) << name;
  Remote remote = open(endpoint);
  for (const char* tag : {"", "a/b", "a?b", "sha256:12", "sha256:../../etc/passwd", "a b", ".."})
    EXPECT_EQ(remote.get_manifest(tag).error().kind(), ErrorKind::kInvalidArgument) << tag;
}

}  // namespace
}  // namespace wherry::transfer
