#include "oci/runtime_spec.h"

#include <gtest/gtest.h>

namespace wherry::oci {
namespace {

RuntimeSpec full_spec() {
  RuntimeSpec spec;
  spec.oci_version = "1.2.1";
  spec.hostname = "web";
  spec.domainname = "example.org";
  spec.root_path = "/merged";
  spec.root_readonly = true;
  Process& process = spec.process;
  process.terminal = true;
  process.console_rows = 24;
  process.console_columns = 80;
  process.user = {.uid = 1000, .gid = 4294967294u, .umask = 022, .additional_gids = {4, 27}};
  process.args = {"sh", "-c", "echo \"hi\"\n"};
  process.env = {"PATH=/bin", "EMPTY=", "UTF=\xc3\xa4"};
  process.cwd = "/srv";
  process.capabilities.bounding = {"CAP_CHOWN", "CAP_KILL"};
  process.capabilities.permitted = {"CAP_CHOWN"};
  process.rlimits = {{.type = "RLIMIT_NOFILE", .hard = UINT64_MAX, .soft = 1024}};
  process.no_new_privileges = true;
  process.oom_score_adj = -500;
  process.apparmor_profile = "wherry-default";
  process.selinux_label = "system_u:system_r:container_t:s0";
  process.scheduler = Scheduler{.policy = "SCHED_DEADLINE",
                                .nice = -3,
                                .priority = 2,
                                .flags = {"SCHED_FLAG_RESET_ON_FORK"},
                                .runtime = 1000,
                                .deadline = 2000,
                                .period = 3000};
  process.io_priority = IoPriority{.io_class = "IOPRIO_CLASS_BE", .priority = 5};
  process.exec_cpu_affinity = CpuAffinity{.initial = "0", .final_cpus = "0-1"};
  spec.mounts = {{.destination = "/proc", .type = "proc", .source = "proc", .options = {"nosuid"}},
                 {.destination = "/data",
                  .type = "",
                  .source = "/srv/data",
                  .options = {"rbind", "idmap"},
                  .uid_mappings = {{.container_id = 0, .host_id = 7, .size = 1}},
                  .gid_mappings = {{.container_id = 0, .host_id = 8, .size = 2}}}};
  spec.hooks.prestart = {{.path = "/bin/a", .args = {"a", "b"}, .env = {"X=1"}, .timeout = 5}};
  spec.hooks.create_runtime = {{.path = "/bin/b"}};
  spec.hooks.create_container = {{.path = "/bin/c"}};
  spec.hooks.start_container = {{.path = "/bin/d"}};
  spec.hooks.poststart = {{.path = "/bin/e"}};
  spec.hooks.poststop = {{.path = "/bin/f"}};
  spec.annotations = {{"any.key", "any value"}, {"linux", "free"}};
  spec.namespaces = {{.type = "pid"}, {.type = "network", .path = "/proc/7/ns/net"}};
  spec.uid_mappings = {{.container_id = 0, .host_id = 100000, .size = 65536}};
  spec.gid_mappings = {{.container_id = 0, .host_id = 200000, .size = 65536}};
  spec.devices = {{.path = "/dev/fuse",
                   .type = 'c',
                   .major = 10,
                   .minor = 229,
                   .file_mode = 0660,
                   .uid = 1,
                   .gid = 2}};
  spec.cgroups_path = "/wherry/abc";
  Resources& resources = spec.resources;
  resources.devices = {{.allow = false, .type = 'a', .access = "rwm"},
                       {.allow = true, .type = 'c', .major = 1, .minor = 3, .access = "rw"}};
  resources.memory_limit = 1 << 26;
  resources.memory_reservation = 1 << 25;
  resources.memory_swap = -1;
  resources.memory_swappiness = 60;
  resources.memory_disable_oom_killer = false;
  resources.cpu_shares = 512;
  resources.cpu_quota = -1;
  resources.cpu_period = 100000;
  resources.cpu_realtime_period = 1000000;
  resources.cpu_realtime_runtime = 950000;
  resources.cpuset_cpus = "0-1";
  resources.cpuset_mems = "0";
  resources.memory_kernel = 1 << 20;
  resources.memory_kernel_tcp = 1 << 19;
  resources.memory_use_hierarchy = true;
  resources.memory_check_before_update = true;
  resources.cpu_burst = 50000;
  resources.cpu_idle = 1;
  resources.pids_limit = 100;
  resources.blkio_leaf_weight = 11;
  resources.blkio_weight_device = {{.major = 8, .minor = 0, .weight = 20, .leaf_weight = 30}};
  resources.throttle_read_bps = {{.major = 8, .minor = 1, .rate = 1 << 20}};
  resources.throttle_write_bps = {{.major = 8, .minor = 2, .rate = 1 << 21}};
  resources.throttle_read_iops = {{.major = 8, .minor = 3, .rate = 100}};
  resources.throttle_write_iops = {{.major = 8, .minor = 4, .rate = 200}};
  resources.hugepage_limits = {{.page_size = "2MB", .limit = 4 << 20}};
  resources.network_class_id = 0x100001;
  resources.network_priorities = {{.name = "lo", .priority = 3}};
  resources.rdma = {{"mlx5_1", {.hca_handles = 3, .hca_objects = 10000}}};
  resources.blkio_weight = 500;
  resources.unified = {{"memory.high", "1000000"}};
  spec.sysctl = {{"net.ipv4.ip_forward", "1"}};
  spec.masked_paths = {"/proc/kcore"};
  spec.readonly_paths = {"/proc/sys"};
  spec.rootfs_propagation = "rslave";
  spec.mount_label = "label";
  spec.seccomp = Seccomp{
      .default_action = "SCMP_ACT_ERRNO",
      .default_errno_ret = 38,
      .architectures = {"SCMP_ARCH_X86_64"},
      .flags = {"SECCOMP_FILTER_FLAG_LOG"},
      .listener_path = "/run/agent.sock",
      .listener_metadata = "meta",
      .syscalls = {
          {.names = {"clone", "getcwd"},
           .action = "SCMP_ACT_ERRNO",
           .errno_ret = 1,
           .args = {
               {.index = 1, .value = 2080505856, .value_two = 7, .op = "SCMP_CMP_MASKED_EQ"}}}}};
  spec.personality = Personality{.domain = "LINUX32", .flags = {}};
  spec.time_offsets = {{"boottime", {.secs = -5, .nanosecs = 9}}};
  spec.net_devices = {{"eth7", {.name = "eth0"}}};
  spec.memory_policy =
      MemoryPolicy{.mode = "MPOL_BIND", .nodes = "0", .flags = {"MPOL_F_STATIC_NODES"}};
  return spec;
}

std::string with(std::string_view part) {
  return R"({"ociVersion":"1.2.0",)" + std::string(part) + "}";
}

TEST(RuntimeSpec, EveryFieldSurvivesARoundTrip) {
  const std::string text = to_json(full_spec());
  const auto parsed = parse_runtime_spec(text);
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(to_json(*parsed), text);
  EXPECT_EQ(parsed->process.user.gid, 4294967294u);
  EXPECT_EQ(parsed->process.user.umask, 022u);
  EXPECT_EQ(parsed->process.rlimits[0].hard, UINT64_MAX);
  EXPECT_EQ(parsed->process.oom_score_adj, -500);
  EXPECT_EQ(parsed->process.console_columns, 80u);
  EXPECT_EQ(parsed->resources.memory_swap, -1);
  EXPECT_EQ(parsed->resources.memory_disable_oom_killer, false);
  EXPECT_EQ(parsed->resources.devices[0].major, std::nullopt);
  EXPECT_EQ(parsed->resources.devices[1].minor, 3);
  EXPECT_EQ(parsed->resources.unified.at("memory.high"), "1000000");
  EXPECT_EQ(parsed->devices[0].file_mode, 0660u);
  EXPECT_EQ(parsed->namespaces[1].path, "/proc/7/ns/net");
  EXPECT_EQ(parsed->annotations.at("linux"), "free");
}

TEST(RuntimeSpec, EveryFieldSurvivesBeingPacked) {
  RuntimeSpec spec = full_spec();
  spec.process.env.emplace_back("X=\xff");
  const std::string bytes = pack(spec);
  const auto unpacked = unpack_runtime_spec(bytes);
  ASSERT_TRUE(unpacked) << unpacked.error().message();
  EXPECT_EQ(pack(*unpacked), bytes);
  EXPECT_EQ(to_json(*unpacked), to_json(spec));
  EXPECT_EQ(unpacked->process.env.back(), "X=\xff");
}

TEST(RuntimeSpec, WhatIsPackedIsCheckedAsTextIs) {
  RuntimeSpec spec = full_spec();
  spec.process.cwd = "relative";
  EXPECT_NE(unpack_runtime_spec(pack(spec)).error().message().find("process.cwd"),
            std::string::npos);
  const std::string bytes = pack(full_spec());
  for (size_t length = 0; length < bytes.size(); ++length)
    EXPECT_FALSE(unpack_runtime_spec(bytes.substr(0, length))) << length;
}

TEST(RuntimeSpec, TheLayoutIsTheSpecifications) {
  RuntimeSpec spec;
  spec.root_path = "rootfs";
  spec.process.args = {"true"};
  spec.resources.pids_limit = 5;
  spec.resources.devices = {{.allow = false, .type = 'a'}};
  EXPECT_EQ(to_json(spec),
            R"({"ociVersion":"1.2.0","process":{"terminal":false,"user":{"uid":0,"gid":0},)"
            R"("args":["true"],"cwd":"/","capabilities":{"bounding":[],"effective":[],)"
            R"("inheritable":[],"permitted":[],"ambient":[]},"noNewPrivileges":false},)"
            R"("root":{"path":"rootfs","readonly":false},"linux":{"resources":{"devices":[)"
            R"({"allow":false,"type":"a","access":"rwm"}],"pids":{"limit":5}}}})");
}

TEST(RuntimeSpec, ReadsWhatOtherEnginesWrite) {
  const auto spec = parse_runtime_spec(R"({
    "ociVersion": "1.0.2-dev", "hooks": null, "windows": {"a": 1}, "linux.future": [],
    "process": {"user": {"uid": 0, "gid": 0}, "args": ["sh"], "cwd": "/", "rlimits": null},
    "root": {"path": "rootfs"},
    "linux": {"resources": {"devices": [{"allow": false, "access": "rwm"},
              {"allow": true, "type": "c", "major": -1, "minor": -1, "access": "m"}]},
              "namespaces": [{"type": "mount"}]}})");
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->resources.devices[0].type, 'a');
  EXPECT_EQ(spec->resources.devices[1].major, std::nullopt);
  EXPECT_EQ(spec->resources.devices[1].minor, std::nullopt);
}

TEST(RuntimeSpec, BytesThatAreNotUtf8DoNotBreakTheWriter) {
  RuntimeSpec spec;
  spec.process.env = {"RAW=\xff\xfe"};
  EXPECT_NE(to_json(spec).find("RAW="), std::string::npos);
  EXPECT_TRUE(parse_runtime_spec(to_json(spec)));
}

std::string many(int count, std::string_view text) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

TEST(RuntimeSpec, AProcessAndItsResourcesStandAlone) {
  const RuntimeSpec spec = full_spec();
  const auto process = parse_process(to_json(spec.process));
  ASSERT_TRUE(process) << process.error().message();
  EXPECT_EQ(to_json(*process), to_json(spec.process));
  const auto resources = parse_resources(to_json(spec.resources));
  ASSERT_TRUE(resources) << resources.error().message();
  EXPECT_EQ(to_json(*resources), to_json(spec.resources));
  EXPECT_FALSE(parse_process(R"({"cwd":"x"})"));
  EXPECT_FALSE(parse_resources(R"({"devices":[{"type":"x"}]})"));
}

struct Hostile {
  std::string text;
  const char* names;  // must appear in the message
};

TEST(RuntimeSpec, RefusesHostileTextsByName) {
  const Hostile table[] = {
      {"", "not JSON"},
      {"[]", "not a JSON object"},
      {"{\"ociVersion\":\"1.2.0\"", "not JSON"},
      {"{}", "ociVersion"},
      {R"({"ociVersion":"2.0.0"})", "2.0.0"},
      {R"({"ociVersion":"1.4.0"})", "1.4.0"},
      {R"({"ociVersion":"1.2"})", "1.2"},
      {R"({"ociVersion":7})", "ociVersion"},
      {with(R"("hooks":{"prestart":[{"args":["a"]}]})"), "prestart hook"},
      {with(R"("hooks":{"poststop":[{"path":"bin/a"}]})"), "poststop hook 'bin/a'"},
      {with(R"("hooks":{"poststart":[{"path":"/a","timeout":0}]})"), "timeout"},
      {with(R"("hooks":{"createRuntime":{}})"), "hooks.createRuntime"},
      {with(R"("vm":{"hypervisor":{}})"), "'vm'"},
      {with(R"("process":[])"), "'process' must be an object"},
      {with(R"("process":{"scheduler":[]})"), "process.scheduler"},
      {with(R"("process":{"scheduler":{"nice":"x"}})"), "process.scheduler.nice"},
      {with(R"("process":{"user":{"uid":-1}})"), "process.user.uid"},
      {with(R"("process":{"user":{"uid":4294967296}})"), "process.user.uid"},
      {with(R"("process":{"user":{"uid":1.5}})"), "process.user.uid"},
      {with(R"("process":{"user":{"uid":"0"}})"), "process.user.uid"},
      {with(R"("process":{"args":["a",3]})"), "process.args[1]"},
      {with(R"("process":{"args":["a\u0000b"]})"), "NUL"},
      {with(R"("process":{"env":["NOEQUALS"]})"), "NOEQUALS"},
      {with(R"("process":{"cwd":"relative"})"), "process.cwd"},
      {with(R"("process":{"rlimits":[{"type":"NOFILE"}]})"), "NOFILE"},
      {with(R"("process":{"rlimits":[{"type":"RLIMIT_CPU","soft":2,"hard":1}]})"), "RLIMIT_CPU"},
      {with(R"("process":{"terminal":1})"), "process.terminal"},
      {with(R"("mounts":[{"destination":"/a","uidMappings":{}}])"), "mounts[0].uidMappings"},
      {with(R"("mounts":[{"source":"/a"}])"), "destination"},
      {with(R"("annotations":{"a":{}})"), "annotations.a"},
      {with(R"("linux":{"seccomp":[]})"), "linux.seccomp"},
      {with(R"("linux":{"seccomp":{"syscalls":[{"args":[{"value":-1}]}]}})"),
       "linux.seccomp.syscalls[0].args[0].value"},
      {with(R"("linux":{"intelRdt":{"closID":"x"}})"), "'linux.intelRdt' is not supported"},
      {with(R"("linux":{"timeOffsets":{"boottime":{"nanosecs":-1}}})"),
       "linux.timeOffsets.boottime.nanosecs"},
      {with(R"("linux":{"namespaces":[{"type":"planet"}]})"), "planet"},
      {with(R"("linux":{"namespaces":[{"type":"pid"},{"type":"pid"}]})"), "twice"},
      {with(R"("linux":{"namespaces":[{"type":"pid","path":"x"}]})"), "'x'"},
      {with(R"("linux":{"resources":{"memory":{"kernel":""}}})"), "linux.resources.memory.kernel"},
      {with(R"("linux":{"resources":{"memory":{"limit":9223372036854775808}}})"), "memory.limit"},
      {with(R"("linux":{"resources":{"cpu":{"burst":-1}}})"), "linux.resources.cpu.burst"},
      {with(R"("linux":{"resources":{"blockIO":{"weight":65536}}})"), "blockIO.weight"},
      {with(R"("linux":{"resources":{"devices":[{"type":"cc"}]}})"), "one letter"},
      {with(R"("linux":{"resources":{"devices":[{"type":"x"}]}})"), "device rule"},
      {with(R"("linux":{"resources":{"devices":[{"access":"rx"}]}})"), "'rx'"},
      {with(R"("linux":{"devices":[{"path":"dev","type":"c"}]})"), "'dev'"},
      {with("\"annotations\":" + std::string(70, '[') + std::string(70, ']')), "64 levels"},
      {with("\"mounts\":[{}" + many(65536, ",{}") + "]"), "65536 entries"},
      {with("\"hostname\":\"" + std::string(4 << 20, 'x') + "\""), "4 MiB"},
  };
  for (const Hostile& hostile : table) {
    const auto spec = parse_runtime_spec(hostile.text);
    ASSERT_FALSE(spec) << hostile.text.substr(0, 200);
    EXPECT_NE(spec.error().message().find(hostile.names), std::string::npos)
        << hostile.names << " is not in: " << spec.error().message();
  }
}

}  // namespace
}  // namespace wherry::oci
