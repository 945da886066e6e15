#include "store/lease.h"

#include "state/images.h"
#include "store/layer_folder.h"
#include "store/store_state.h"
#include "sys/file.h"

namespace wherry::store {

Result<Lease> Store::new_lease() {
  TRY_CTX(Incoming incoming, Incoming::create(state_->places, state_->database),
          "cannot begin a lease");
  return Lease(state_->places, state_->database, std::move(incoming));
}

Result<void> Lease::hold(std::span<const Digest> diff_ids) {
  TRY(auto transaction, database_->begin(state::Durability::kRelaxed));
  TRY_VOID(hold_within(diff_ids));
  return transaction.commit();
}

Result<void> Lease::hold_within(std::span<const Digest> diff_ids) {
  Moves moves;
  for (const Digest& diff_id : diff_ids) {
    if (held_.contains(diff_id.hex())) continue;
    TRY(auto row, state::get_layer(*database_, diff_id.str()));
    if (!row || !sys::exists_at(places_->layers.get(), diff_id.hex() + "/" + kRecord))
      return Error(ErrorKind::kNotFound, "no such layer: " + diff_id.str());
    moves.held.push_back(diff_id);
  }
  if (moves.held.empty()) return {};
  TRY_VOID(incoming_.list(moves, /*sync=*/false));
  for (const Digest& diff_id : moves.held) held_.insert(diff_id.hex());
  return {};
}

}  // namespace wherry::store
