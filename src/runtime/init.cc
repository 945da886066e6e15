#include "runtime/init.h"

#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/failpoint.h"
#include "base/trace.h"
#include "base/weaken.h"
#include "runtime/hooks.h"
#include "runtime/masks.h"
#include "runtime/process_stage.h"
#include "runtime/user_namespace.h"
#include "sys/clone.h"
#include "sys/mount.h"
#include "sys/rtnetlink.h"

namespace wherry::runtime {
namespace {

Result<void> join_namespaces(const InitPlan& init) {
  for (const auto& [type, fd] : init.joined)
    // Pid and user namespaces were entered for us, by the parent or by the stage between.
    if (type != CLONE_NEWPID && type != CLONE_NEWUSER && setns(fd.get(), type) != 0)
      return Error::from_errno(errno, "cannot join a namespace");
  return {};
}

// On version 1 only the child itself moves without waiting for an RCU grace period. The cgroup
// namespace is made afterwards, because its root is where its maker is.
Result<void> enter_cgroup_namespace(const InitPlan& init) {
  if (init.cgroup != nullptr) TRY_VOID(init.cgroup->attach_self());
  if (init.plan->namespaces.is_fresh(CLONE_NEWCGROUP) && unshare(CLONE_NEWCGROUP) != 0)
    return Error::from_errno(errno, "cannot make a cgroup namespace");
  return {};
}

Result<void> enter_user_namespace(const InitPlan& init) {
  TRY_VOID(become_root());
  // A change of ids clears the parent-death signal (prctl(2)).
  return init.options->bundle.outlive_creator ? Result<void>() : sys::die_with_parent();
}

Result<sys::Fd> attach_root(InitPlan& init) {
  TRY_VOID(sys::make_all_mounts_private());
  TRY_CTX(sys::Fd root, init.root.attach(), "cannot attach the root file system");
  return root;
}

Result<void> furnish_root(InitPlan& init, int root, sys::Fd& proc) {
  const CreatePlan& plan = *init.plan;
  {
    TraceScope trace("runtime.child.mounts");
    TRY_VOID(apply_mounts(root, plan.mounts, init.sources, proc));
  }
  TRY_VOID(failpoint("runtime.init.mounted"));
  if (!plan.host_dev) TRY_VOID(make_devices(root, plan.devices, init.host_devices));
  return {};
}

Result<void> write_sysctl(int proc, const std::string& path, const std::string& value) {
  open_how how{};
  how.flags = O_WRONLY | O_CLOEXEC;
  how.resolve =
      weakened(Defence::kPrivateProc) ? 0 : RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  std::string name = "sys/" + path;
  sys::Fd file(static_cast<int>(syscall(SYS_openat2, proc, name.c_str(), &how, sizeof how)));
  if (!file) return Error::from_errno(errno, "cannot open it");
  return sys::write_all(file.get(), value);
}

Result<void> set_names(const oci::RuntimeSpec& spec) {
  if (!spec.hostname.empty() && sethostname(spec.hostname.c_str(), spec.hostname.size()) != 0)
    return Error::from_errno(errno, "cannot set the host name '" + spec.hostname + "'");
  if (!spec.domainname.empty() &&
      setdomainname(spec.domainname.c_str(), spec.domainname.size()) != 0)
    return Error::from_errno(errno, "cannot set the domain name '" + spec.domainname + "'");
  return {};
}

Result<void> set_up_network(const InitPlan& init, Channel& channel) {
  const std::optional<sys::LinkPlan>& link = init.options->link;
  // Our end exists when the parent has made the pair, devices when it has moved them.
  if (link || !init.plan->net_devices.empty()) TRY_VOID(channel.expect(MessageType::kLinkReady));
  if (!init.plan->namespaces.is_fresh(CLONE_NEWNET)) return {};
  // Who has made it has brought its loopback up.
  if (init.network_made && !link) return {};
  TraceScope trace("runtime.child.network");
  TRY_VOID_CTX(sys::configure_links(link ? &*link : nullptr), "cannot set up the network");
  return {};
}

// Those of the runtime's namespaces are the parent's to run; they may still change the network.
Result<void> run_create_hooks(const InitPlan& init, Channel& channel) {
  const oci::Hooks& hooks = init.options->spec->hooks;
  if (!hooks.prestart.empty() || !hooks.create_runtime.empty()) {
    TRY_VOID(channel.send(MessageType::kHooks));
    TRY_VOID(channel.expect(MessageType::kHooksDone));
  }
  if (hooks.create_container.empty()) return {};
  HookState state = *init.options->bundle.hooks;
  state.status = "creating";
  state.pid = getpid();
  return run_hooks("createContainer", hooks.create_container, state);
}

Result<void> set_sysctls(const CreatePlan& plan, int root, sys::Fd& proc) {
  if (plan.sysctls.empty()) return {};
  if (weakened(Defence::kPrivateProc)) {
    TRY(proc, sys::open_at(root, "proc", O_PATH | O_DIRECTORY));
  }
  if (!proc) {
    TRY(proc, private_proc());
  }
  for (const auto& [path, value] : plan.sysctls)
    TRY_VOID_CTX(write_sysctl(proc.get(), path, value), "cannot set the sysctl '" + path + "'");
  return {};
}

Result<void> close_root(InitPlan& init, int root) {
  TraceScope trace("runtime.child.masks");
  const CreatePlan& plan = *init.plan;
  TRY_VOID(make_read_only(root, plan.readonly_paths));
  TRY_VOID(mask_paths(root, plan.masked_paths, std::move(init.host_null),
                      init.options->spec->mount_label));
  if (init.options->spec->root_readonly)
    TRY_VOID_CTX(sys::change_mount(root, {.set = MOUNT_ATTR_RDONLY}, false),
                 "cannot make the root file system read-only");
  return {};
}

Result<sys::Fd> move_into(const InitPlan& init, sys::Fd root) {
  TraceScope trace("runtime.child.pivot");
  if (init.options->bundle.no_pivot) {
    TRY_VOID(sys::move_root_into(root.get()));
  } else {
    TRY_VOID(sys::pivot_into(root.get()));
  }
  TRY(sys::Fd inside, sys::open_file("/", O_PATH | O_DIRECTORY));
  uint64_t propagation = init.plan->root_propagation;
  if (propagation != MS_PRIVATE)
    TRY_VOID_CTX(sys::change_mount(inside.get(), {.propagation = propagation}, true),
                 "cannot set the root's propagation");
  return inside;
}

// From the clone to the container's "/", which is returned opened.
Result<sys::Fd> enter_container(InitPlan& init, ChannelPair& channels, sys::Fd& proc) {
  TRY_VOID(begin_child(channels, init.options->bundle.outlive_creator));
  const bool mapped = init.plan->namespaces.has(CLONE_NEWUSER);
  if (mapped) TRY_VOID(channels.child.expect(MessageType::kUsersMapped));
  TRY_VOID(join_namespaces(init));
  TRY_VOID(enter_cgroup_namespace(init));
  // Still with the creator's uid: the way to the root may be closed to the container's users.
  TRY(sys::Fd root, attach_root(init));
  if (mapped) TRY_VOID(enter_user_namespace(init));
  TRY_VOID(furnish_root(init, root.get(), proc));
  TRY_VOID(set_up_network(init, channels.child));
  TRY_VOID(run_create_hooks(init, channels.child));
  TRY_VOID(set_names(*init.options->spec));
  TRY_VOID(set_sysctls(*init.plan, root.get(), proc));
  TRY_VOID(close_root(init, root.get()));
  TRY_VOID(failpoint("runtime.init.furnished"));
  return move_into(init, std::move(root));
}

Error stage(InitPlan& init, ChannelPair& channels) {
  sys::Fd proc;
  Result<sys::Fd> root = enter_container(init, channels, proc);
  if (!root) return std::move(root.error());
  return run_program(init.plan->process, Role::kInit, std::move(*root), std::move(proc),
                     channels.child);
}

}  // namespace

void run_init(InitPlan& init, ChannelPair& channels) {
  run_child(channels.child, [&] { return stage(init, channels); });
}

}  // namespace wherry::runtime
