// Blobs: the compressed forms of layers, and where else they are.
#include "state/blobs.h"

#include <cerrno>

#include "store/store_state.h"
#include "sys/file.h"

namespace wherry::store {

Result<std::vector<Blob>> Store::blobs_of(const Digest& diff_id) {
  TRY(std::vector<state::BlobRow> rows, state::blobs_of(state_->database, diff_id.str()));
  std::vector<Blob> blobs;
  for (state::BlobRow& row : rows) {
    TRY_CTX(Digest digest, Digest::parse(row.digest), "damaged state");
    if (!sys::exists_at(state_->places.blobs.get(), digest.hex())) continue;
    blobs.push_back(
        {std::move(digest), static_cast<uint64_t>(row.size), std::move(row.media_type)});
  }
  return blobs;
}

Result<sys::Fd> Store::open_blob(const Digest& blob) {
  Result<sys::Fd> opened = sys::open_at(state_->places.blobs.get(), blob.hex(), O_RDONLY);
  if (opened || opened.error().errnum() != ENOENT) return opened;
  return Error(ErrorKind::kNotFound, "no such blob: " + blob.str());
}

Result<void> Store::note_image_source(const Digest& image, const ImageSource& source) {
  TRY(auto transaction, state_->database.begin());
  TRY(auto row, state::get_image(state_->database, image.str()));
  if (!row) return Error(ErrorKind::kNotFound, "no such image: " + image.str());
  TRY_VOID(state::put_image_source(state_->database, image.str(),
                                   {source.repository, source.digest.str()}));
  return transaction.commit();
}

Result<void> Store::note_blob_source(const Digest& blob, const std::string& repository) {
  TRY(auto transaction, state_->database.begin(state::Durability::kRelaxed));
  TRY_VOID(state::put_blob_source(state_->database, blob.str(), repository));
  return transaction.commit();
}

Result<std::vector<std::string>> Store::blob_sources(const Digest& blob) {
  return state::blob_sources(state_->database, blob.str());
}

}  // namespace wherry::store
