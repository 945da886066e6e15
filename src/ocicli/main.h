// wherry-oci's main: the flags before the command, the table of commands, help and version.
#pragma once

namespace wherry::ocicli {

// The exit code.
int run_main(int argc, char** argv);

}  // namespace wherry::ocicli
