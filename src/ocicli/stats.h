// What a container uses, as runc's `events` documents it. Pure.
#pragma once

#include <string>

#include "runtime/cgroup_stats.h"

namespace wherry::ocicli {

// {"type":"stats","id":ID,"data":{...}}, one line with its end.
std::string stats_event(const std::string& id, const runtime::CgroupStats& stats);
// {"type":"oom","id":ID}, likewise.
std::string oom_event(const std::string& id);

}  // namespace wherry::ocicli
