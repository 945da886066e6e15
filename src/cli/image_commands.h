// The commands on images and the engine, and their flag tables. Called through commands.cc only.
#pragma once

#include "cli/command.h"

namespace wherry::cli {

extern const FlagTable kImagesFlags, kRemoveImageFlags, kHistoryFlags, kImportFlags,
    kBootstrapFlags, kSaveFlags, kLoadFlags, kImagePruneFlags, kInspectFlags, kInspectOneFlags,
    kFormatFlags;

Result<int> list_images(Invocation& call);
Result<int> tag_image(Invocation& call);
Result<int> remove_images(Invocation& call);
Result<int> show_history(Invocation& call);
Result<int> import_image(Invocation& call);
Result<int> bootstrap_image(Invocation& call);
Result<int> save_images(Invocation& call);
Result<int> load_images(Invocation& call);
Result<int> prune_images(Invocation& call);

Result<int> inspect_any(Invocation& call);
Result<int> inspect_containers(Invocation& call);
Result<int> inspect_images(Invocation& call);

Result<int> show_version(Invocation& call);
Result<int> show_info(Invocation& call);
Result<int> check_config(Invocation& call);
Result<int> show_config(Invocation& call);
Result<int> print_manual_page(Invocation& call);
Result<int> complete_words(Invocation& call);

}  // namespace wherry::cli
