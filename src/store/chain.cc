#include "store/chain.h"

#include "store/store_state.h"
#include "sys/sha256.h"
#include "tree/record.h"

namespace wherry::store {

Digest chain_id(std::span<const Digest> layers) {
  Digest chain = layers.front();
  for (const Digest& layer : layers.subspan(1))
    chain = sys::sha256(chain.str() + " " + layer.str());
  return chain;
}

Result<std::vector<Digest>> layers_of_image(state::Database& database, const Digest& image) {
  TRY(std::vector<state::LayerRow> layers, state::layers_of(database, image.str()));
  std::vector<Digest> ids;
  for (const state::LayerRow& layer : layers) {
    TRY_CTX(Digest id, Digest::parse(layer.diff_id), "damaged state");
    ids.push_back(std::move(id));
  }
  return ids;
}

Result<std::vector<LayerFolder>> open_chain(const Places& places, const std::vector<Digest>& ids) {
  std::vector<LayerFolder> folders;
  for (const Digest& id : ids) {
    TRY(sys::Fd folder, open_layer(places, id));
    folders.push_back({id, std::move(folder)});
  }
  return folders;
}

Result<ChainRecords> ChainRecords::open(std::span<const LayerFolder> layers) {
  ChainRecords records;
  for (const LayerFolder& layer : layers) {
    TRY_CTX(MappedFile file, MappedFile::open(layer.folder.get(), kRecord),
            "layer '" + layer.diff_id.str() + "'");
    records.files_.push_back(std::move(file));
  }
  return records;
}

Result<tree::Merger> ChainRecords::merge() const {
  std::vector<tree::RecordReader> readers;
  for (const MappedFile& file : files_) {
    TRY(tree::RecordReader reader,
        tree::RecordReader::open(file.bytes(), tree::RecordKind::kLayer, kMaxLayerEntries));
    readers.push_back(std::move(reader));
  }
  return tree::Merger::open(std::move(readers));
}

}  // namespace wherry::store
