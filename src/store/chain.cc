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

std::vector<std::string> chain_ids(std::span<const std::string> layers) {
  std::vector<std::string> chains;
  for (const std::string& layer : layers)
    chains.push_back(chains.empty() ? layer : sys::sha256(chains.back() + " " + layer).str());
  return chains;
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

Result<tree::RecordReader> ChainRecords::layer(size_t index) const {
  return tree::RecordReader::open(files_[index].bytes(), tree::RecordKind::kLayer,
                                  kMaxLayerEntries);
}

Result<std::vector<tree::RecordReader>> ChainRecords::readers(size_t count) const {
  std::vector<tree::RecordReader> readers;
  for (size_t i = 0; i < count; ++i) {
    TRY(tree::RecordReader reader, layer(i));
    readers.push_back(std::move(reader));
  }
  return readers;
}

Result<tree::Merger> ChainRecords::merge(size_t count) const {
  TRY(std::vector<tree::RecordReader> layers, readers(count));
  return tree::Merger::open(std::move(layers));
}

Result<tree::Merger> ChainRecords::merge_below(tree::RecordReader top) const {
  TRY(std::vector<tree::RecordReader> layers, readers(files_.size()));
  layers.push_back(std::move(top));
  return tree::Merger::open(std::move(layers));
}

}  // namespace wherry::store
