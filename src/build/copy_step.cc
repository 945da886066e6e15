// COPY and ADD: sources and key, then the files into a mounted root (copy.h).
#include "build/add.h"
#include "build/expand.h"
#include "build/stage_builder.h"
#include "build/tree_mount.h"
#include "sys/file.h"

namespace wherry::build {
namespace {

// Against WORKDIR. What makes it a directory stays visible: a last "/" or ".".
std::string destination_in(const std::string& working_dir, const std::string& destination) {
  bool directory = destination.empty() || destination.ends_with('/') || destination == "." ||
                   destination.ends_with("/.");
  std::string path = working_directory(working_dir, destination);
  return directory && !path.ends_with('/') ? path + "/" : path;
}

Result<std::vector<std::string>> expand_all(const std::vector<std::string>& words,
                                            const Expander& expander) {
  std::vector<std::string> texts;
  for (const std::string& word : words) {
    TRY(std::string text, expand_word(word, expander));
    texts.push_back(std::move(text));
  }
  return texts;
}

Result<std::optional<std::string>> expand_optional(const std::optional<std::string>& word,
                                                   const Expander& expander) {
  if (!word) return std::optional<std::string>();
  TRY(std::string text, expand_word(*word, expander));
  return std::optional(std::move(text));
}

}  // namespace

Result<void> StageBuilder::add_sources(const Copy& copy, CopySpec& spec) {
  Expander expander = scope_.expander(state_.config.config.env);
  TRY(std::vector<std::string> sources, expand_all(copy.sources, expander));
  TRY(std::optional<std::string> checksum, expand_optional(copy.checksum, expander));
  if (copy.keep_git_dir)
    return Error(ErrorKind::kUnsupported, "--keep-git-dir: git repositories are not supported");
  bool fetched = false;
  for (const std::string& source : sources) {
    AddSource kind = AddSource::kLocal;
    if (copy.add) {
      TRY(kind, classify_add_source(source));
    }
    if (kind == AddSource::kUrl) {
      TRY(sys::Fd directory, sys::open_file(build_.host.root(), O_RDONLY | O_DIRECTORY));
      TRY(Download file, download(source, checksum.value_or(""), directory.get()));
      own_trees_.push_back(std::move(file.tree));
      spec.sources.push_back({&own_trees_.back(), file.name});
      fetched = true;
      continue;
    }
    TRY(const SourceTree* tree, source_tree(copy.from));
    spec.sources.push_back({tree, source});
  }
  if (checksum && !fetched)
    return Error(ErrorKind::kInvalidArgument, "--checksum is for URLs; there is none");
  if (copy.heredocs.empty()) return {};
  std::vector<MemoryFile> files;
  for (const Heredoc& heredoc : copy.heredocs) {
    MemoryFile file{heredoc.name, heredoc.body};
    if (heredoc.expand) {
      TRY(file.content, expand_text(heredoc.body, expander));
    }
    files.push_back(std::move(file));
  }
  TRY(SourceTree tree, SourceTree::files(files));
  own_trees_.push_back(std::move(tree));
  for (const Heredoc& heredoc : copy.heredocs)
    spec.sources.push_back({&own_trees_.back(), heredoc.name});
  return {};
}

Result<CopySpec> StageBuilder::copy_spec(const Copy& copy) {
  const oci::ImageRunConfig& config = state_.config.config;
  Expander expander = scope_.expander(config.env);
  CopySpec spec;
  spec.add = copy.add;
  TRY_VOID(add_sources(copy, spec));
  TRY(std::string destination, expand_word(copy.destination, expander));
  spec.destination = destination_in(config.working_dir, destination);
  TRY(spec.chown, expand_optional(copy.chown, expander));
  TRY(spec.chmod, expand_optional(copy.chmod, expander));
  TRY(spec.exclude, expand_all(copy.exclude, expander));
  spec.parents = copy.parents;
  spec.link = copy.link;
  spec.unpack = copy.unpack;
  return spec;
}

Result<StageBuilder::Prepared> StageBuilder::prepare_copy(const Instruction& instruction,
                                                          const Copy& copy) {
  TRY(CopySpec planned, copy_spec(copy));
  auto spec = std::make_shared<CopySpec>(std::move(planned));
  TRY(Selection chosen, select(*spec, &build_.host.state()));
  auto selection = std::make_shared<Selection>(std::move(chosen));
  for (const std::string& note : selection->notes) build_.progress.warning(note);
  KeyParts parts(instruction.name, instruction.original);
  parts.add("selection", selection->key().str()).explain("files", selection->parts);
  auto make = [this, spec,
               selection](store::LayerDraft& draft) -> Result<std::optional<Layers::Hit>> {
    TRY(store::MountPlan below, state_.chain.mount_plan(build_.store));
    TRY(sys::Fd root, mount_writable(below, draft));
    TRY(CopyReport report,
        build::copy(*selection, *spec, root.get(), draft.lock_fd(), draft.max_entries()));
    for (const std::string& warning : report.warnings) build_.progress.warning(warning);
    return std::optional<Layers::Hit>();
  };
  return Prepared{std::move(parts), make};
}

}  // namespace wherry::build
