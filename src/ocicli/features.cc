// `features`: what this runtime can do, as the specification's features document.
// Source: OCI runtime-spec 1.2, features.md and features-linux.md.
#include <nlohmann/json.hpp>

#include "ocicli/command.h"
#include "sys/capability_names.h"

namespace wherry::ocicli {
namespace {

using nlohmann::ordered_json;

// Sorted, as readers compare them.
ordered_json mount_options() {
  return {"async",         "atime",        "bind",
          "defaults",      "dev",          "diratime",
          "dirsync",       "exec",         "idmap",
          "iversion",      "lazytime",     "loud",
          "mand",          "noatime",      "nodev",
          "nodiratime",    "noexec",       "noiversion",
          "nolazytime",    "nomand",       "norelatime",
          "nostrictatime", "nosuid",       "nosymfollow",
          "private",       "ratime",       "rbind",
          "rdev",          "rdiratime",    "relatime",
          "remount",       "rexec",        "ridmap",
          "rnoatime",      "rnodev",       "rnodiratime",
          "rnoexec",       "rnorelatime",  "rnostrictatime",
          "rnosuid",       "rnosymfollow", "ro",
          "rprivate",      "rrelatime",    "rro",
          "rrw",           "rshared",      "rslave",
          "rstrictatime",  "rsuid",        "rsymfollow",
          "runbindable",   "rw",           "shared",
          "silent",        "slave",        "strictatime",
          "suid",          "symfollow",    "sync",
          "tmpcopyup",     "unbindable"};
}

ordered_json capabilities() {
  ordered_json names = ordered_json::array();
  for (std::string_view name : sys::kCapabilityNames) names.push_back(name);
  return names;
}

ordered_json seccomp() {
  return {{"enabled", true},
          {"actions",
           {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
            "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE",
            "SCMP_ACT_TRAP"}},
          {"operators",
           {"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
            "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"}},
          {"archs",
           {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_X86",
            "SCMP_ARCH_X86_64"}},
          {"knownFlags",
           {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
            "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"}},
          {"supportedFlags",
           {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
            "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"}}};
}

ordered_json linux_features() {
  ordered_json part;
  part["namespaces"] = {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"};
  part["capabilities"] = capabilities();
  part["cgroup"] = {
      {"v1", true}, {"v2", true}, {"systemd", true}, {"systemdUser", false}, {"rdma", true}};
  part["seccomp"] = seccomp();
  part["apparmor"] = {{"enabled", true}};
  part["selinux"] = {{"enabled", true}};
  part["intelRdt"] = {{"enabled", false}};
  part["mountExtensions"] = {{"idmap", {{"enabled", true}}}};
  part["netDevices"] = {{"enabled", true}};
  part["memoryPolicy"] = {
      {"modes",
       {"MPOL_BIND", "MPOL_DEFAULT", "MPOL_INTERLEAVE", "MPOL_LOCAL", "MPOL_PREFERRED",
        "MPOL_PREFERRED_MANY", "MPOL_WEIGHTED_INTERLEAVE"}},
      {"flags", {"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"}}};
  return part;
}

Result<int> run_features(Call& /*call*/) {
  ordered_json document;
  document["ociVersionMin"] = "1.0.0";
  document["ociVersionMax"] = "1.3.0";
  document["hooks"] = {"prestart",       "createRuntime", "createContainer",
                       "startContainer", "poststart",     "poststop"};
  document["mountOptions"] = mount_options();
  document["linux"] = linux_features();
  document["annotations"] = {{"org.wherry.oci.version", WHERRY_VERSION}};
  document["potentiallyUnsafeConfigAnnotations"] = ordered_json::array();
  return print(document.dump(2) + "\n");
}

}  // namespace

const CommandSpec kFeatures = {
    .name = "features",
    .usage = "",
    .summary = "Print what this runtime can do as JSON",
    .table = {},
    .min_arguments = 0,
    .max_arguments = 0,
    .run = run_features,
};

}  // namespace wherry::ocicli
