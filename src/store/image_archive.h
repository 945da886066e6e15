// ImageArchive: an image archive as a tree of files, and the images it says it holds. Inside store/
// only.
//
// A tar is unpacked into incoming/ by a confined wherry-unpack first, but for large files, which
// are read from the tar itself; a layout that is a directory already is read where it is. Nothing
// below is trusted: names are resolved beneath the tree, documents are bounded, and what has a
// digest is compared with it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "archive/input.h"
#include "oci/image_archive.h"
#include "store/incoming.h"

namespace wherry::store {

// A layer as the archive names it.
struct ArchivedLayer {
  std::string path;
  // Of a layout: what its descriptor says of the file.
  std::optional<oci::Descriptor> descriptor;
};

struct PlannedImage {
  std::string manifest_json;  // exact bytes; empty: none that could be sent on
  std::string config_json;    // exact bytes
  std::vector<Digest> diff_ids;
  std::vector<ArchivedLayer> layers;  // as many
  std::vector<oci::ImageRef> names;
};

// A layer's bytes: a file, or a part of one.
struct LayerFile {
  sys::Fd fd;
  std::optional<archive::FilePart> part;
};

class ImageArchive {
 public:
  // `fd`: a tar, plain or compressed, or a directory; must not change as long as this lives.
  static Result<ImageArchive> open(const Places& places, state::Database& database, int fd);

  // The images that are to be loaded: all of a docker-archive; of a layout one for each name (of
  // those with several platforms that of `platform`; empty: this machine's).
  Result<std::vector<PlannedImage>> images(const std::string& platform) const;
  // A regular file of the archive, opened for reading.
  Result<LayerFile> layer(const std::string& path) const;

 private:
  ImageArchive(std::optional<Incoming> incoming, sys::Fd tree)
      : incoming_(std::move(incoming)), tree_(std::move(tree)) {}

  Result<sys::Fd> file(const std::string& path) const;
  Result<std::string> document(const std::string& path) const;
  Result<std::string> document_of(const oci::Descriptor& descriptor) const;
  Result<PlannedImage> docker_image(const oci::ArchivedImage& image) const;
  Result<PlannedImage> layout_image(oci::Descriptor descriptor, const std::string& platform) const;
  Result<std::vector<PlannedImage>> layout_images(const std::string& platform) const;

  std::optional<Incoming> incoming_;  // the unpacked tar goes with it
  sys::Fd tree_;
  sys::Fd tar_;                                 // when files of it were left there:
  std::map<uint64_t, archive::FilePart> left_;  // by their inodes in the tree
};

}  // namespace wherry::store
