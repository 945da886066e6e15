// CRIU as a program: what to call it with for a container, and what it said when it failed.
//
// Mounts that come from outside (binds) are named by their destination, so that a restore can put
// other sources there. Source: criu(8).
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "oci/runtime_spec.h"

namespace wherry::ocicli {

// What both directions are told, by the flags of `checkpoint` and `restore`.
struct CriuFlags {
  std::string image_path;  // absolute
  std::string work_path;   // absolute
  std::string parent_path;
  std::string manage_cgroups;         // of criu's --manage-cgroups; empty: soft
  std::vector<std::string> switches;  // "--tcp-established", as they are
};

// The masked paths that a container has. One name in the image stands for all of a kind.
struct MaskedPaths {
  std::vector<std::string> files;        // covered with the null device
  std::vector<std::string> directories;  // covered with an empty directory
};

// Pure: the words after "criu".
std::vector<std::string> dump_words(const CriuFlags& flags, const oci::RuntimeSpec& spec,
                                    const MaskedPaths& masked, pid_t pid, bool pre_dump);
// `root`: a mount; `empty`: a read-only empty directory.
std::vector<std::string> restore_words(const CriuFlags& flags, const oci::RuntimeSpec& spec,
                                       const std::string& root, const std::string& empty,
                                       const std::string& pid_file);

// The error lines of CRIU's own log, at most `limit` of them, joined by "; ". Pure.
std::string criu_complaints(std::string_view log, size_t limit);

// Runs criu with these words to its end. The error of a failure holds what its log complains of.
Result<void> run_criu(const std::vector<std::string>& words, const std::string& log_path);

}  // namespace wherry::ocicli
