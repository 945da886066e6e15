// Flags that several commands share.
#pragma once

#include <array>

#include "base/flags.h"

namespace wherry::ocicli {

inline constexpr Flag kBundleFlag{"bundle", 'b', FlagKind::kString,
                                  "The bundle's directory (default: the working directory)"};
inline constexpr Flag kConfigFlag{"config", 'f', FlagKind::kString,
                                  "The configuration, in the bundle or absolute", "config.json"};
inline constexpr Flag kConsoleSocketFlag{"console-socket", 0, FlagKind::kString,
                                         "A listening socket that gets the terminal's master"};
inline constexpr Flag kPidfdSocketFlag{"pidfd-socket", 0, FlagKind::kString,
                                       "A listening socket that gets the process's pidfd"};
inline constexpr Flag kPidFileFlag{"pid-file", 0, FlagKind::kString,
                                   "Where to write the process's pid"};
inline constexpr Flag kPreserveFdsFlag{"preserve-fds", 0, FlagKind::kInt,
                                       "Pass descriptors 3 to 3+N-1 on to the container", "0"};
inline constexpr Flag kNoPivotFlag{"no-pivot", 0, FlagKind::kBool,
                                   "Do not pivot_root: for roots on a ramdisk"};
inline constexpr Flag kNoNewKeyringFlag{"no-new-keyring", 0, FlagKind::kBool,
                                        "Keep the caller's session keyring"};

inline constexpr std::array kCreateFlags{
    kBundleFlag,  kConfigFlag,      kConsoleSocketFlag, kPidfdSocketFlag,
    kPidFileFlag, kPreserveFdsFlag, kNoPivotFlag,       kNoNewKeyringFlag,
};

inline constexpr Flag kDetachFlag{"detach", 'd', FlagKind::kBool,
                                  "Return when the program has been executed"};
inline constexpr Flag kNoSubreaperFlag{"no-subreaper", 0, FlagKind::kBool,
                                       "Do not reap the container's orphans"};
inline constexpr Flag kKeepFlag{"keep", 0, FlagKind::kBool, "Keep the stopped container's state"};

inline constexpr std::array kRunFlags{
    kBundleFlag,  kConfigFlag,      kConsoleSocketFlag, kPidfdSocketFlag,
    kPidFileFlag, kPreserveFdsFlag, kNoPivotFlag,       kNoNewKeyringFlag,
    kDetachFlag,  kNoSubreaperFlag, kKeepFlag,
};

}  // namespace wherry::ocicli
