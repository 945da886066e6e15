#include "archive/sparse.h"

#include "archive/tar_field.h"
#include "base/text.h"

namespace wherry::archive {
namespace {

constexpr size_t kRunSize = 24, kNumberSize = 12;

Error bad_map(std::string_view why) {
  return Error(ErrorKind::kCorrupt, "its sparse map is damaged: " + std::string(why));
}
Error too_many() {
  return Error(ErrorKind::kResourceExhausted,
               "its sparse map has more than " + std::to_string(kMaxSparseRuns) + " runs");
}

}  // namespace

Result<void> add_header_runs(std::string_view table, std::vector<SparseRun>& runs) {
  for (; table.size() >= kRunSize; table.remove_prefix(kRunSize)) {
    if (table[0] == 0) break;
    std::optional<int64_t> offset = parse_tar_number(table.substr(0, kNumberSize));
    std::optional<int64_t> size = parse_tar_number(table.substr(kNumberSize, kNumberSize));
    if (!offset || !size || *offset < 0 || *size < 0) return bad_map("no number");
    if (runs.size() == kMaxSparseRuns) return too_many();
    runs.push_back({static_cast<uint64_t>(*offset), static_cast<uint64_t>(*size)});
  }
  return {};
}

Result<void> parse_run_list(std::string_view text, std::vector<SparseRun>& runs) {
  bool half = false;
  uint64_t offset = 0;
  while (!text.empty()) {
    auto [word, rest] = split_once(text, ',');
    std::optional<uint64_t> number = parse_u64(word);
    if (!number) return bad_map("no number");
    if (half) {
      if (runs.size() == kMaxSparseRuns) return too_many();
      runs.push_back({offset, *number});
    } else {
      offset = *number;
    }
    half = !half;
    text = rest.value_or("");
  }
  if (half) return bad_map("an offset without a size");
  return {};
}

Result<void> check_runs(const std::vector<SparseRun>& runs, uint64_t real_size,
                        uint64_t data_size) {
  uint64_t end = 0, sum = 0;
  for (const SparseRun& run : runs) {
    if (run.offset < end) return bad_map("runs overlap");
    if (run.offset > real_size || run.size > real_size - run.offset)
      return bad_map("a run lies behind the file's end");
    end = run.offset + run.size;
    sum += run.size;
  }
  if (sum != data_size) return bad_map("the data does not fit it");
  return {};
}

Result<bool> SparseMapParser::take(std::string_view bytes, std::vector<SparseRun>& runs) {
  for (char c : bytes) {
    // The rest of the last block is padding.
    if (done(runs)) return true;
    if (c == '\n') {
      TRY_VOID(take_number(runs));
    } else if (c < '0' || c > '9' || ++digits_ > 18) {
      return bad_map("no number");
    } else {
      number_ = number_ * 10 + static_cast<uint64_t>(c - '0');
    }
  }
  return done(runs);
}

Result<void> SparseMapParser::take_number(std::vector<SparseRun>& runs) {
  if (digits_ == 0) return bad_map("an empty line");
  if (!counted_) {
    if (number_ > kMaxSparseRuns) return too_many();
    count_ = number_;
    counted_ = true;
  } else if (half_) {
    runs.back().size = number_;
    half_ = false;
  } else {
    runs.push_back({number_, 0});
    half_ = true;
  }
  number_ = 0;
  digits_ = 0;
  return {};
}

}  // namespace wherry::archive
