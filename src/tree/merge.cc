#include "tree/merge.h"

#include <algorithm>
#include <string>
#include <utility>

namespace wherry::tree {

namespace {

// What a layer's inode of several names is in the tree, beside a number: it has fewer than two
// names left; its number is not given yet.
constexpr uint32_t kAlone = 0, kNotYet = ~uint32_t{0};

}  // namespace

struct Merger::State {
  struct Layer {
    RecordReader reader;
    const Entry* head = nullptr;
    std::vector<uint32_t> inodes;  // while counting: names left; then as above
  };
  // What is above the path at hand. Layers below `floor` show nothing in it.
  struct Above {
    size_t length;  // of its path
    uint32_t floor;
  };

  Result<void> start();
  Result<void> count_names();
  Result<const Entry*> next();
  Result<void> refill();
  void ascend(std::string_view to);
  const Entry* show_missing(std::string_view to);
  void take_group();
  bool has_higher_below(uint32_t layer) const;
  uint32_t floor_of_directory(uint32_t floor) const;
  const Entry* show_group();
  const Entry* show_default(std::string_view directory, uint32_t floor);
  const Entry* show(uint32_t layer);
  uint32_t number(uint32_t layer, uint32_t inode);

  uint32_t everything() const { return static_cast<uint32_t>(layers.size()); }
  bool is_later(uint32_t a, uint32_t b) const;
  void push(uint32_t layer);
  uint32_t pop();

  std::vector<Layer> layers;
  std::vector<uint32_t> heap;   // of layers that have a head, the first path at the front
  std::vector<uint32_t> group;  // out of the heap: those at the path at hand, highest first
  std::string path;
  std::vector<Above> above;
  Entry shown;
  uint32_t numbered = 0;
  bool counting = false;
};

Result<Merger> Merger::open(std::vector<RecordReader> layers) {
  auto state = std::make_unique<State>();
  bool several = false;
  for (RecordReader& reader : layers) {
    several = several || reader.inodes() > 0;
    state->layers.push_back({.reader = std::move(reader)});
  }
  if (several) TRY_VOID(state->count_names());
  TRY_VOID(state->start());
  return Merger(std::move(state));
}

Merger::Merger(std::unique_ptr<State> state) : state_(std::move(state)) {}
Merger::Merger(Merger&&) noexcept = default;
Merger& Merger::operator=(Merger&&) noexcept = default;
Merger::~Merger() = default;

Result<const Entry*> Merger::next() {
  return state_->next();
}

Result<void> Merger::rewind() {
  for (State::Layer& layer : state_->layers) layer.reader.rewind();
  return state_->start();
}

// All layers are before their first entries.
Result<void> Merger::State::start() {
  heap.clear();
  group.clear();
  above.clear();
  path.clear();
  numbered = 0;
  for (uint32_t i = 0; i < layers.size(); ++i) {
    group.push_back(i);
    for (uint32_t& inode : layers[i].inodes)
      if (inode != kAlone) inode = kNotYet;
  }
  return refill();
}

Result<void> Merger::State::count_names() {
  TRY_VOID(start());
  counting = true;
  while (true) {
    TRY(const Entry* entry, next());
    if (entry == nullptr) break;
  }
  counting = false;
  for (Layer& layer : layers) {
    for (uint32_t& names : layer.inodes) names = names < 2 ? kAlone : kNotYet;
    layer.reader.rewind();
  }
  return {};
}

Result<const Entry*> Merger::State::next() {
  while (true) {
    TRY_VOID(refill());
    if (heap.empty()) return above.empty() ? show_default("", 0) : nullptr;
    const std::string_view first = layers[heap.front()].head->path;
    ascend(first);
    const bool hidden = !above.empty() && heap.front() < above.back().floor;
    if (!hidden)
      if (const Entry* entry = show_missing(first)) return entry;
    take_group();
    if (!hidden)
      if (const Entry* entry = show_group()) return entry;
  }
}

// The layers of the group go on to their next entries.
Result<void> Merger::State::refill() {
  for (const uint32_t layer : group) {
    TRY(layers[layer].head, layers[layer].reader.next());
    if (layers[layer].head != nullptr) push(layer);
  }
  group.clear();
  return {};
}

void Merger::State::ascend(std::string_view to) {
  while (!above.empty() && !is_below(to, std::string_view(path).substr(0, above.back().length)))
    above.pop_back();
}

// The highest directory above `to` that no layer has; null: none is missing.
const Entry* Merger::State::show_missing(std::string_view to) {
  if (to.empty()) return nullptr;
  if (above.empty()) return show_default("", 0);
  const size_t start = above.back().length == 0 ? 0 : above.back().length + 1;
  const size_t slash = to.find('/', start);
  return slash == to.npos ? nullptr : show_default(to.substr(0, slash), above.back().floor);
}

void Merger::State::take_group() {
  group.push_back(pop());
  path.assign(layers[group[0]].head->path);
  while (!heap.empty() && layers[heap.front()].head->path == path) group.push_back(pop());
}

// A layer above `layer` has names below the path at hand, which its record leaves out.
bool Merger::State::has_higher_below(uint32_t layer) const {
  const auto is_here = [this](uint32_t other) { return is_below(layers[other].head->path, path); };
  return !heap.empty() && is_here(heap.front()) &&
         std::ranges::any_of(heap, [&](uint32_t other) { return other > layer && is_here(other); });
}

uint32_t Merger::State::floor_of_directory(uint32_t floor) const {
  for (const uint32_t layer : group) {
    if (layer < floor) break;
    const Entry& entry = *layers[layer].head;
    if (entry.type != Type::kDirectory) return layer + 1;
    if (entry.opaque) return layer;
  }
  return floor;
}

// What the layers of the group make of their path; null: nothing.
const Entry* Merger::State::show_group() {
  const uint32_t top = group[0];
  const Type type = layers[top].head->type;
  if (type == Type::kDirectory) {
    const uint32_t floor = floor_of_directory(above.empty() ? 0 : above.back().floor);
    above.push_back({path.size(), floor});
    return show(top);
  }
  if (has_higher_below(top)) return show_default(std::string(path), top + 1);
  above.push_back({path.size(), everything()});
  return type == Type::kWhiteout ? nullptr : show(top);
}

const Entry* Merger::State::show_default(std::string_view directory, uint32_t floor) {
  path.assign(directory);
  above.push_back({path.size(), floor});
  shown = {.path = path, .type = Type::kDirectory, .mode = 0755};
  return &shown;
}

const Entry* Merger::State::show(uint32_t layer) {
  const Entry& entry = *layers[layer].head;
  if (!entry.opaque && entry.inode == 0) return &entry;
  shown = entry;
  shown.opaque = false;
  shown.inode = entry.inode == 0 ? 0 : number(layer, entry.inode);
  return &shown;
}

uint32_t Merger::State::number(uint32_t layer, uint32_t inode) {
  std::vector<uint32_t>& inodes = layers[layer].inodes;
  // Numbers come in order, so it grows with the record and not with what the record claims.
  if (inode > inodes.size()) inodes.resize(inode);
  uint32_t& known = inodes[inode - 1];
  if (counting) return ++known;
  if (known == kNotYet) known = ++numbered;
  return known;
}

// Of two layers with the same path the higher is first.
bool Merger::State::is_later(uint32_t a, uint32_t b) const {
  const int order = compare_paths(layers[a].head->path, layers[b].head->path);
  return order != 0 ? order > 0 : a < b;
}

void Merger::State::push(uint32_t layer) {
  heap.push_back(layer);
  std::ranges::push_heap(heap, [this](auto a, auto b) { return is_later(a, b); });
}

uint32_t Merger::State::pop() {
  std::ranges::pop_heap(heap, [this](auto a, auto b) { return is_later(a, b); });
  const uint32_t layer = heap.back();
  heap.pop_back();
  return layer;
}

}  // namespace wherry::tree
