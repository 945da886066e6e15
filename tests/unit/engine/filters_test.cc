#include "engine/filters.h"

#include <gtest/gtest.h>

namespace wherry::engine {
namespace {

ContainerRecord sample() {
  ContainerRecord record;
  record.id = "abc" + std::string(61, '0');
  record.name = "web-1";
  record.created = "2026-11-23T00:00:10Z";
  record.image_id = "sha256:1";
  record.config.image = "debian";
  record.config.labels = {{"tier", "front"}};
  record.config.exposed_ports = {"80/tcp", "53/udp"};
  record.host_config.port_bindings = {{"8005/tcp", {{"", "1"}}}};
  record.mounts = {{.type = "volume", .name = "data", .source = "/x", .destination = "/var/data"}};
  record.state.status = "exited";
  record.state.exit_code = 3;
  record.network_settings.networks["bridge"].network_id = "fe12";
  return record;
}

using Filters = std::vector<std::pair<std::string, std::string>>;

FilterContext context() {
  return {[](const std::string& name) -> std::optional<std::string> {
            if (name == "bookworm") return "sha256:1";
            return std::nullopt;
          },
          [](const std::string& name) -> Result<std::string> {
            if (name == "older") return std::string("2026-11-23T00:00:05Z");
            if (name == "newer") return std::string("2026-11-23T00:00:15Z");
            return Error(ErrorKind::kNotFound, "no such container: " + name);
          }};
}

bool matches(const Filters& filters) {
  auto filter = Filter::compile(filters, context());
  EXPECT_TRUE(filter) << (filter ? "" : filter.error().message());
  return filter && filter->matches(sample());
}

TEST(PsFilters, EachKeyMatchesItsField) {
  for (auto [key, value] : Filters{{"id", "abc"},
                                   {"name", "web"},
                                   {"name", "^/web-1$"},
                                   {"name", "^web-[0-9]$"},
                                   {"label", "tier"},
                                   {"label", "tier=front"},
                                   {"status", "exited"},
                                   {"exited", "3"},
                                   {"ancestor", "debian"},
                                   {"ancestor", "bookworm"},
                                   {"before", "newer"},
                                   {"since", "older"},
                                   {"volume", "data"},
                                   {"volume", "/var/data"},
                                   {"network", "bridge"},
                                   {"network", "fe12"},
                                   {"publish", "8005"},
                                   {"publish", "8000-8010/tcp"},
                                   {"expose", "53/udp"}})
    EXPECT_TRUE(matches({{key, value}})) << key << "=" << value;
}

TEST(PsFilters, EachKeyRejectsWhatDiffers) {
  for (auto [key, value] : Filters{{"id", "bc"},
                                   {"name", "^eb"},
                                   {"label", "tie"},
                                   {"label", "tier=back"},
                                   {"status", "running"},
                                   {"exited", "0"},
                                   {"ancestor", "trixie"},
                                   {"before", "older"},
                                   {"since", "newer"},
                                   {"volume", "dat"},
                                   {"network", "none"},
                                   {"publish", "8005/udp"},
                                   {"publish", "8006-9000"},
                                   {"expose", "53"}})
    EXPECT_FALSE(matches({{key, value}})) << key << "=" << value;
}

TEST(PsFilters, TheSameKeyIsOrAndDifferentKeysAreAnd) {
  EXPECT_TRUE(matches({{"status", "running"}, {"status", "exited"}}));
  EXPECT_FALSE(matches({{"status", "exited"}, {"name", "db"}}));
  EXPECT_TRUE(matches({}));
}

TEST(PsFilters, UnknownKeysAndMalformedValuesAreRefused) {
  for (auto [key, value] : Filters{{"nosuch", "x"},
                                   {"status", "happy"},
                                   {"exited", "x"},
                                   {"name", "("},
                                   {"name", std::string(300, 'a')},
                                   {"publish", "x"},
                                   {"publish", "90-80"},
                                   {"expose", "0"},
                                   {"before", "nobody"}})
    EXPECT_FALSE(Filter::compile({{key, value}}, context())) << key << "=" << value;
}

TEST(PsFilters, AskingForAnEndShowsStoppedContainers) {
  EXPECT_TRUE(Filter::compile({{"exited", "0"}}, context())->wants_stopped());
  EXPECT_TRUE(Filter::compile({{"status", "exited"}}, context())->wants_stopped());
  EXPECT_FALSE(Filter::compile({{"name", "x"}}, context())->wants_stopped());
}

}  // namespace
}  // namespace wherry::engine
