#include "transfer/endpoints.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "transfer/attempts.h"

namespace wherry::transfer {
namespace {

std::vector<std::string> urls(const std::vector<Endpoint>& endpoints) {
  std::vector<std::string> all;
  for (const Endpoint& endpoint : endpoints)
    all.push_back(endpoint.base_url + (endpoint.verify_tls ? "" : " (any certificate)"));
  return all;
}

using Urls = std::vector<std::string>;

TEST(Endpoints, DockerHubIsReachedByItsRegistryOnly) {
  EXPECT_EQ(urls(pull_endpoints("docker.io", {})), Urls{"https://registry-1.docker.io"});
  EXPECT_EQ(urls(push_endpoints("docker.io", {})), Urls{"https://registry-1.docker.io"});
}

TEST(Endpoints, OtherRegistriesAreSpokenToOverHttpsOnly) {
  for (const char* domain : {"registry.example", "registry.example:5000", "128.0.0.1:5000",
                             "[2001:db8::1]:5000", "localhost.example"})
    EXPECT_EQ(urls(pull_endpoints(domain, {})), Urls{std::string("https://") + domain});
}

TEST(Endpoints, LoopbackMayHaveAnyCertificateOrNone) {
  for (const char* domain :
       {"localhost", "localhost:5000", "127.0.0.1:5000", "127.9.8.7", "[::1]:5000"})
    EXPECT_EQ(urls(push_endpoints(domain, {})),
              (Urls{std::string("https://") + domain + " (any certificate)",
                    std::string("http://") + domain + " (any certificate)"}));
}

TEST(Endpoints, InsecureRegistriesAreThoseListedByHostPortOrAddress) {
  RegistrySettings settings;
  settings.insecure = {"plain.example", "port.example:5000", "10.0.0.0/8", "2001:db8::/32"};
  for (const char* domain : {"plain.example", "plain.example:7", "port.example:5000",
                             "10.1.2.3:5000", "[2001:db8::7]:443"})
    EXPECT_TRUE(is_insecure(domain, settings)) << domain;
  for (const char* domain : {"port.example", "port.example:5001", "11.0.0.1", "[2001:db9::7]",
                             "x.plain.example", "registry.example"})
    EXPECT_FALSE(is_insecure(domain, settings)) << domain;
}

TEST(Endpoints, MirrorsAreAskedFirstAndForDockerHubOnly) {
  RegistrySettings settings;
  settings.mirrors = {"https://mirror.example/", "http://127.0.0.1:5000"};
  std::vector<Endpoint> endpoints = pull_endpoints("docker.io", settings);
  EXPECT_EQ(urls(endpoints),
            (Urls{"https://mirror.example", "http://127.0.0.1:5000 (any certificate)",
                  "https://registry-1.docker.io"}));
  EXPECT_EQ(endpoints[0].domain, "mirror.example");
  EXPECT_EQ(endpoints[2].domain, "docker.io");
  EXPECT_EQ(pull_endpoints("a.example", settings).size(), 1U);
  EXPECT_EQ(push_endpoints("docker.io", settings).size(), 1U);
}

TEST(Endpoints, CertificatesComeFromTheFirstFolderOfTheRegistry) {
  char name[] = "/tmp/wherry-certs-XXXXXX";
  std::string top = mkdtemp(name);
  std::filesystem::create_directories(top + "/a/r.example:5000");
  std::filesystem::create_directories(top + "/b/r.example:5000");
  for (const char* file : {"/a/r.example:5000/ca.crt", "/a/r.example:5000/client.cert",
                           "/a/r.example:5000/client.key", "/b/r.example:5000/ca.crt"})
    std::ofstream(top + file) << "x";
  RegistrySettings settings;
  settings.certificate_dirs = {top + "/none", top + "/a", top + "/b"};
  Endpoint endpoint = push_endpoints("r.example:5000", settings)[0];
  EXPECT_EQ(endpoint.ca_file, top + "/a/r.example:5000/ca.crt");
  EXPECT_EQ(endpoint.client_cert, top + "/a/r.example:5000/client.cert");
  EXPECT_EQ(endpoint.client_key, top + "/a/r.example:5000/client.key");
  EXPECT_EQ(push_endpoints("r.example", settings)[0].ca_file, "");
  std::filesystem::remove_all(top);
}

TEST(Endpoints, WrongEntriesSayWhy) {
  for (const char* good : {"https://mirror.example", "http://mirror:5000/", "https://[::1]:5000"})
    EXPECT_TRUE(check_mirror(good)) << good;
  for (const char* bad :
       {"", "mirror.example", "ftp://a.example", "https://", "https://a/b", "https://u:p@a.example",
        "https://a.example?x", "https://a b", "https://a.example:99999999"})
    EXPECT_FALSE(check_mirror(bad)) << bad;
  for (const char* good : {"a", "a.example:5000", "[::1]:5000", "10.0.0.0/8", "::1/128"})
    EXPECT_TRUE(check_insecure(good)) << good;
  for (const char* bad : {"", "https://a.example", "10.0.0.0/33", "a/b", "a b", "10.0.0.0/x"})
    EXPECT_FALSE(check_insecure(bad)) << bad;
}

Endpoint endpoint(const std::string& domain, const std::string& scheme) {
  Endpoint one;
  one.domain = domain;
  one.base_url = scheme + "://" + domain;
  return one;
}

struct Answer {
  Endpoint endpoint;
  ErrorKind kind;
  bool plain_http = false;
};

// What first_endpoint tries, when each endpoint answers as said.
std::vector<std::string> tried(const std::vector<Answer>& answers, std::string* message = nullptr) {
  std::vector<std::string> order;
  std::vector<Endpoint> endpoints;
  for (const Answer& answer : answers) endpoints.push_back(answer.endpoint);
  auto outcome =
      first_endpoint(endpoints, [&](const Endpoint& one, bool& plain_http) -> Result<int> {
        order.push_back(one.base_url);
        plain_http = answers[order.size() - 1].plain_http;
        return Error(answers[order.size() - 1].kind, "error of " + one.base_url);
      });
  if (message != nullptr) *message = outcome.error().message();
  return order;
}

TEST(Attempts, TheRegistryIsAskedByHttpOnlyWhenItDoesNotSpeakHttps) {
  std::string message;
  EXPECT_EQ(tried({{endpoint("h", "https"), ErrorKind::kUnavailable, true},
                   {endpoint("h", "http"), ErrorKind::kNotFound}},
                  &message),
            (Urls{"https://h", "http://h"}));
  EXPECT_EQ(message, "error of http://h");
  for (ErrorKind kind :
       {ErrorKind::kUnavailable, ErrorKind::kNotFound, ErrorKind::kPermissionDenied})
    EXPECT_EQ(tried({{endpoint("h", "https"), kind}, {endpoint("h", "http"), kind}}),
              Urls{"https://h"});
}

TEST(Attempts, AfterAMirrorTheRegistryIsAskedAndItsWordCounts) {
  for (ErrorKind kind :
       {ErrorKind::kNotFound, ErrorKind::kUnavailable, ErrorKind::kPermissionDenied}) {
    std::string message;
    EXPECT_EQ(tried({{endpoint("m", "https"), kind},
                     {endpoint("docker.io", "https"), ErrorKind::kNotFound}},
                    &message)
                  .size(),
              2U);
    EXPECT_EQ(message, "error of https://docker.io");
  }
  // What is wrong everywhere, or here, is not looked for elsewhere.
  for (ErrorKind kind : {ErrorKind::kCorrupt, ErrorKind::kResourceExhausted})
    EXPECT_EQ(tried({{endpoint("m", "https"), kind},
                     {endpoint("docker.io", "https"), ErrorKind::kNotFound}})
                  .size(),
              1U);
}

TEST(Attempts, ErrorsHaveDockersWordsTheObjectAndTheRemedy) {
  auto reference = oci::ImageRef::parse("host:5000/team/app:1");
  ASSERT_TRUE(reference);
  Error missing = explain_pull(Error(ErrorKind::kNotFound, "cause"), *reference);
  EXPECT_EQ(missing.message(),
            "manifest for host:5000/team/app:1 not found: manifest unknown: cause");
  Error denied = explain_pull(Error(ErrorKind::kPermissionDenied, "cause"), *reference);
  EXPECT_EQ(denied.message(),
            "pull access denied for host:5000/team/app, repository does not exist or may require "
            "'wherry login': cause");
  EXPECT_EQ(denied.hint(), "wherry login host:5000");
  Error away = explain_pull(Error(ErrorKind::kUnavailable, "cause"), *reference);
  EXPECT_EQ(away.message(), "failed to resolve reference 'host:5000/team/app:1': cause");
}

}  // namespace
}  // namespace wherry::transfer
