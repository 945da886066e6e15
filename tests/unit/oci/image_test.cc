#include "oci/image.h"

#include <gtest/gtest.h>

namespace wherry::oci {
namespace {

const std::string kHex = std::string(64, 'a');
const std::string kDigest = "sha256:" + kHex;

std::string config_with(const std::string& run_config) {
  return R"({"architecture":"amd64","os":"linux","config":)" + run_config +
         R"(,"rootfs":{"type":"layers","diff_ids":[")" + kDigest + R"("]}})";
}

std::string manifest_with(const std::string& layers, const std::string& more = "") {
  return R"({"schemaVersion":2,"config":{"mediaType":"x","digest":")" + kDigest +
         R"(","size":7},"layers":)" + layers + more + "}";
}

TEST(ImageConfig, SurvivesWritingAndReading) {
  ImageConfig config;
  config.created = "2026-01-02T03:04:05Z";
  config.author = "me";
  config.config.user = "1:2";
  config.config.exposed_ports = {"53/udp", "80/tcp"};
  config.config.env = {"A=b", "EMPTY="};
  config.config.entrypoint = {"/bin/x", "-a"};
  config.config.cmd = {"c \"quoted\""};
  config.config.volumes = {"/data"};
  config.config.working_dir = "/w";
  config.config.labels = {{"k", "v"}};
  config.config.stop_signal = "SIGINT";
  config.config.shell = {"/bin/bash", "-c"};
  config.config.on_build = {"RUN x"};
  config.config.healthcheck = Healthcheck{{"CMD-SHELL", "curl x"}, 30'000'000'000, 1, 2, 3, 4};
  config.config.args_escaped = true;
  config.variant = "v8";
  config.diff_ids = {*Digest::parse(kDigest)};
  config.history = {{"t", "by", "comment", "author", false}, {"t", "", "", "", true}};
  Result<ImageConfig> back = parse_image_config(to_json(config));
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(to_json(*back), to_json(config));
  EXPECT_EQ(back->config.exposed_ports, config.config.exposed_ports);
  EXPECT_EQ(back->config.labels, config.config.labels);
  EXPECT_EQ(back->config.healthcheck, config.config.healthcheck);
  EXPECT_TRUE(back->config.args_escaped);
  EXPECT_EQ(back->variant, "v8");
  EXPECT_TRUE(back->history[1].empty_layer);
}

TEST(ImageConfig, NullAndAbsentMeanEmpty) {
  Result<ImageConfig> config =
      parse_image_config(config_with(R"({"Env":null,"Cmd":null,"Labels":null,"Unknown":{"x":1}})"));
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_TRUE(config->config.env.empty());
  EXPECT_TRUE(parse_image_config(config_with("null")));
}

TEST(ImageConfig, HostileDocumentsAreRefused) {
  std::string many_labels = R"({"A":")" + std::string(5u << 20, 'x') + "\"}";
  const std::string table[] = {
      "",
      "null",
      "[]",
      "{",
      "{}",
      "not json",
      "\xff\xfe",
      std::string(1'000'000, '['),
      std::string(100'000, '{'),
      many_labels,
      R"({"architecture":"amd64","os":"linux"})",
      R"({"architecture":1,"os":"linux","rootfs":{"type":"layers"}})",
      R"({"architecture":"amd64","os":"linux","rootfs":{"type":"tar","diff_ids":[]}})",
      R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["md5:00"]}})",
      R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:../../x"]}})",
      R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":{}}})",
      R"({"os":"linux","rootfs":{"type":"layers","diff_ids":[]}})",
      R"({"architecture":"amd64","os":"linux","created":1e400,"rootfs":{"type":"layers"}})",
      config_with("[]"),
      config_with(R"({"Env":{}})"),
      config_with(R"({"Env":[1]})"),
      config_with(R"({"Env":["=x"]})"),
      config_with(R"({"Env":[""]})"),
      config_with(R"({"Cmd":"text"})"),
      config_with(R"({"Entrypoint":["a\u0000b"]})"),
      config_with(R"({"User":"a\u0000"})"),
      config_with(R"({"User":")" + std::string(2000, 'u') + "\"}"),
      config_with(R"({"WorkingDir":"../../"})"),
      config_with(R"({"Volumes":{"../../":{}}})"),
      config_with(R"({"Volumes":[]})"),
      config_with(R"({"ExposedPorts":{"99999/xyz":{}}})"),
      config_with(R"({"ExposedPorts":{"0/tcp":{}}})"),
      config_with(R"({"Labels":{"a":1}})"),
      config_with(R"({"Labels":[]})"),
      config_with(R"({"Healthcheck":[]})"),
      config_with(R"({"Healthcheck":{"Test":"NONE"}})"),
      config_with(R"({"Healthcheck":{"Interval":-1}})"),
      config_with(R"({"Healthcheck":{"Interval":"30s"}})"),
      config_with(R"({"Healthcheck":{"Timeout":1.5}})"),
      config_with(R"({"Healthcheck":{"Retries":18446744073709551615}})"),
      config_with(R"({"ArgsEscaped":1})")};
  for (const std::string& text : table) {
    Result<ImageConfig> config = parse_image_config(text);
    ASSERT_FALSE(config) << text.substr(0, 120);
    EXPECT_EQ(config.error().message().find("invalid image configuration"), 0u);
  }
}

TEST(ImageConfig, TooManyLayersOrPortsAreRefused) {
  std::string ids;
  for (int i = 0; i < 1025; ++i) ids += (i > 0 ? ",\"" : "\"") + kDigest + "\"";
  EXPECT_FALSE(parse_image_config(
      R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[)" + ids +
      "]}}"));
  std::string ports;
  for (int i = 1; i < 10; ++i)
    ports += (i > 1 ? ",\"" : "\"") + std::to_string(i) + "-65535/tcp\":{}";
  EXPECT_FALSE(parse_image_config(config_with(R"({"ExposedPorts":{)" + ports + "}}")));
}

TEST(Manifest, SurvivesWritingAndReading) {
  Digest digest = *Digest::parse(kDigest);
  Manifest manifest{kMediaTypeManifest,
                    {kMediaTypeConfig, digest, 5, {}},
                    {{kMediaTypeLayerGzip, digest, INT64_MAX, {{"a", "b"}}}},
                    {{"k", "v"}}};
  Result<Manifest> back = parse_manifest(to_json(manifest));
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(to_json(*back), to_json(manifest));
}

TEST(ImageConfig, DockersHealthcheckIsReadAndWrittenAsDockerDoes) {
  Result<ImageConfig> config = parse_image_config(
      config_with(R"({"Healthcheck":{"Test":["CMD","a"],"Interval":5000000000,"Retries":3}})"));
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->config.healthcheck, (Healthcheck{{"CMD", "a"}, 5'000'000'000, 0, 0, 0, 3}));
  EXPECT_NE(to_json(*config).find(
                R"("Healthcheck":{"Test":["CMD","a"],"Interval":5000000000,"Retries":3})"),
            std::string::npos);
  config->config.healthcheck = Healthcheck{{"NONE"}};
  EXPECT_NE(to_json(*config).find(R"("Healthcheck":{"Test":["NONE"]})"), std::string::npos);
}

TEST(Manifest, HostileDocumentsAreRefused) {
  std::string layer = R"({"mediaType":"x","digest":")" + kDigest + R"(","size":)";
  const std::string table[] = {
      "",
      "{}",
      "[]",
      R"({"schemaVersion":"2"})",
      R"({"schemaVersion":1})",
      R"({"schemaVersion":2})",
      R"({"schemaVersion":3,"config":{},"layers":[]})",
      manifest_with("{}"),
      manifest_with("[1]"),
      manifest_with("[{}]"),
      manifest_with("[" + layer + "-1}]"),
      manifest_with("[" + layer + "1.5}]"),
      manifest_with("[" + layer + "18446744073709551615}]"),
      manifest_with("[" + layer + "1e400}]"),
      manifest_with("[]", R"(,"manifests":[])"),
      manifest_with("[]", R"(,"mediaType":"application/vnd.oci.image.index.v1+json")"),
      manifest_with("[]", R"(,"annotations":{"a":1})"),
      manifest_with("[]", R"(,"subject":7)"),
      manifest_with("[]", R"(,"fsLayers":[])"),
      manifest_with("[" + layer + R"(1,"urls":"x"}])"),
      manifest_with("[" + layer + R"(1,"platform":[]}])"),
      manifest_with(R"([{"mediaType":"x","digest":"sha256:../../etc/passwd","size":1}])")};
  for (const std::string& text : table) {
    Result<Manifest> manifest = parse_manifest(text);
    ASSERT_FALSE(manifest) << text.substr(0, 120);
    EXPECT_EQ(manifest.error().message().find("invalid image manifest"), 0u);
  }
}

TEST(ApplyChange, KnowsBothFormsOfCommands) {
  ImageRunConfig config;
  ASSERT_TRUE(apply_change(config, R"(CMD ["a", "b c"])"));
  EXPECT_EQ(config.cmd, (std::vector<std::string>{"a", "b c"}));
  ASSERT_TRUE(apply_change(config, "cmd echo $HOME 'x'"));
  EXPECT_EQ(config.cmd, (std::vector<std::string>{"/bin/sh", "-c", "echo $HOME 'x'"}));
  ASSERT_TRUE(apply_change(config, "ENTRYPOINT []"));
  EXPECT_TRUE(config.entrypoint.empty());
  config.shell = {"/bin/bash", "-lc"};
  ASSERT_TRUE(apply_change(config, "ENTRYPOINT [broken"));
  EXPECT_EQ(config.entrypoint, (std::vector<std::string>{"/bin/bash", "-lc", "[broken"}));
}

TEST(ApplyChange, SetsVariablesInBothForms) {
  ImageRunConfig config;
  config.env = {"PATH=/bin", "A=old"};
  ASSERT_TRUE(
      apply_change(config, R"(ENV A=new B="two words" C=with\ space D='$A' E=$A F=${X:-def})"));
  EXPECT_EQ(config.env, (std::vector<std::string>{"PATH=/bin", "A=new", "B=two words",
                                                  "C=with space", "D=$A", "E=old", "F=def"}));
  ASSERT_TRUE(apply_change(config, "ENV G all of $A   this"));
  EXPECT_EQ(config.env.back(), "G=all of new   this");
  ASSERT_TRUE(apply_change(config, "ENV PATH=$PATH:/usr/bin"));
  EXPECT_EQ(config.env.front(), "PATH=/bin:/usr/bin");
}

TEST(ApplyChange, SetsTheRest) {
  ImageRunConfig config;
  for (const char* change : {"EXPOSE 80 53/udp 8000-8001", "LABEL a=1 \"b c\"=2", "USER www:data",
                             "VOLUME /a /b", R"(VOLUME ["/c d"])", "WORKDIR /srv",
                             "WORKDIR app/../web", "STOPSIGNAL SIGQUIT", "ONBUILD RUN make"})
    ASSERT_TRUE(apply_change(config, change)) << change;
  EXPECT_EQ(config.exposed_ports,
            (std::vector<std::string>{"53/udp", "80/tcp", "8000/tcp", "8001/tcp"}));
  EXPECT_EQ(config.labels, (std::map<std::string, std::string>{{"a", "1"}, {"b c", "2"}}));
  EXPECT_EQ(config.user, "www:data");
  EXPECT_EQ(config.volumes, (std::vector<std::string>{"/a", "/b", "/c d"}));
  EXPECT_EQ(config.working_dir, "/srv/web");
  EXPECT_EQ(config.stop_signal, "SIGQUIT");
  EXPECT_EQ(config.on_build, std::vector<std::string>{"RUN make"});
}

TEST(ApplyChange, RefusesWhatHasNoMeaningAndChangesNothing) {
  for (const std::string& change : {std::string("FROM x"),
                                    std::string("RUN x"),
                                    std::string("HEALTHCHECK NONE"),
                                    std::string(),
                                    std::string("CMD"),
                                    std::string("CMD [1]"),
                                    std::string("ENV A"),
                                    std::string("ENV A=1 B"),
                                    std::string("ENV =x"),
                                    std::string("ENV A='open"),
                                    std::string("ENV A=${B"),
                                    std::string("ENV A=${B/x/y}"),
                                    std::string("LABEL x"),
                                    std::string("EXPOSE 0"),
                                    std::string("EXPOSE 70000"),
                                    std::string("EXPOSE 80/icmp"),
                                    std::string("EXPOSE 1:2"),
                                    std::string("VOLUME relative"),
                                    std::string("VOLUME [1]"),
                                    std::string("STOPSIGNAL SIGNOPE"),
                                    std::string("STOPSIGNAL 99"),
                                    std::string("ONBUILD FROM x"),
                                    std::string("ONBUILD onbuild RUN"),
                                    std::string("USER $UNSET"),
                                    std::string("ENV A=\xff"),
                                    std::string("ENV A=\0x", 8),
                                    "ENV A=" + std::string(100'000, 'x')}) {
    ImageRunConfig config;
    config.env = {"KEEP=1"};
    Result<void> applied = apply_change(config, change);
    ASSERT_FALSE(applied) << change.substr(0, 80);
    EXPECT_EQ(applied.error().kind(), ErrorKind::kInvalidArgument);
    EXPECT_EQ(config.env, std::vector<std::string>{"KEEP=1"});
    EXPECT_TRUE(config.labels.empty() && config.cmd.empty());
  }
}

TEST(ApplyChange, NamesTheAllowedInstructions) {
  ImageRunConfig config;
  Result<void> applied = apply_change(config, "FROM scratch");
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().message(), "'FROM' is not a valid change command");
  EXPECT_NE(applied.error().hint().find("CMD, ENTRYPOINT, ENV"), std::string::npos);
}

TEST(ApplyChange, VariablesCannotGrowWithoutEnd) {
  ImageRunConfig config;
  ASSERT_TRUE(apply_change(config, "ENV A0=" + std::string(1000, 'x')));
  bool refused = false;
  for (int i = 1; i < 40 && !refused; ++i) {
    std::string before = "$A" + std::to_string(i - 1);
    refused = !apply_change(config, "ENV A" + std::to_string(i) + "=" + before + before);
  }
  EXPECT_TRUE(refused);
}

}  // namespace
}  // namespace wherry::oci
