// The maps of sparse files: where in a file the bytes that the archive holds belong.
//
// Source: the GNU tar manual, "Storing Sparse Files" and "Old GNU Format".
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wherry::archive {

struct SparseRun {
  uint64_t offset = 0;
  uint64_t size = 0;
};

inline constexpr size_t kMaxSparseRuns = 256u << 10;

// Adds the runs of a header's or extension block's table; unused places end it.
Result<void> add_header_runs(std::string_view table, std::vector<SparseRun>& runs);
// "OFFSET,SIZE,OFFSET,SIZE": PAX 0.1.
Result<void> parse_run_list(std::string_view text, std::vector<SparseRun>& runs);
// Whether the runs are in order, apart from each other, within `real_size` and hold exactly
// `data_size` bytes.
Result<void> check_runs(const std::vector<SparseRun>& runs, uint64_t real_size, uint64_t data_size);

// PAX 1.0: the map stands before the data, as decimal lines: how many, then offset and size of
// each.
class SparseMapParser {
 public:
  // The next bytes of the data; false: there must be more.
  Result<bool> take(std::string_view bytes, std::vector<SparseRun>& runs);

 private:
  Result<void> take_number(std::vector<SparseRun>& runs);
  bool done(const std::vector<SparseRun>& runs) const {
    return counted_ && !half_ && runs.size() == count_;
  }

  uint64_t number_ = 0;
  int digits_ = 0;
  bool counted_ = false;
  uint64_t count_ = 0;
  bool half_ = false;  // an offset is there, its size is not
};

}  // namespace wherry::archive
