#include "transfer/layer_fetch.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <list>
#include <optional>

#include "archive/unpack_client.h"
#include "base/failpoint.h"
#include "base/trace.h"

namespace wherry::transfer {
namespace {

// One layer on its way: a download that ends in an unpacking.
struct Lane {
  size_t index = 0;
  int transfer = 0;
  store::LayerDraft draft;
  archive::UnpackingObjects unpacking;
  bool arrived = false;                       // the download is whole
  std::optional<archive::Unpacked> unpacked;  // and so is the tree
  std::optional<Error> unpack_error;          // waits for the download's own word
};

class Fetcher {
 public:
  Fetcher(Remote& remote, store::Store& store, const std::vector<WantedLayer>& layers,
          const OnProgress& progress)
      : remote_(remote), store_(store), layers_(layers), progress_(progress) {
    drafts_.resize(layers.size());
  }

  Result<std::vector<store::LayerDraft>> run(size_t parallel) {
    Result<void> done = pump(parallel);
    if (!done) {
      give_up();
      return std::move(done.error());
    }
    std::vector<store::LayerDraft> finished;
    for (std::optional<store::LayerDraft>& draft : drafts_) finished.push_back(std::move(*draft));
    return finished;
  }

 private:
  Result<void> pump(size_t parallel) {
    size_t next = 0;
    while (next < layers_.size() || !lanes_.empty()) {
      for (; next < layers_.size() && lanes_.size() < parallel; ++next) TRY_VOID(start(next));
      TRY_VOID(wait());
    }
    return {};
  }

  Result<void> start(size_t index) {
    const oci::Descriptor& blob = layers_[index].blob;
    std::string context = in_layer(index);
    TRY_CTX(store::LayerDraft draft, store_.new_archive_layer(), context);
    TRY_CTX(sys::Pipe pipe, sys::make_pipe(), context);
    TRY_CTX(archive::ObjectsJob job, draft.job(), context);
    job.tar = pipe.read.get();
    job.exact = true;
    TRY_CTX(archive::UnpackingObjects unpacking, archive::UnpackingObjects::start(job), context);
    pipe.read.reset();
    Result<int> transfer = remote_.start_download(
        {blob.digest, static_cast<uint64_t>(blob.size), pipe.write.get(), blob.urls});
    pipe.write.reset();
    if (!transfer) {
      [[maybe_unused]] auto reaped = unpacking.finish();
      return std::move(transfer.error());
    }
    lanes_.push_back({index, *transfer, std::move(draft), std::move(unpacking), false, {}, {}});
    tell(index, LayerProgress::Phase::kDownloading, 0);
    return {};
  }

  Result<void> wait() {
    std::vector<pollfd> fds = {{remote_.fd(), POLLIN, 0}};
    std::vector<Lane*> waiting;
    for (Lane& lane : lanes_) {
      if (lane.unpacked || lane.unpack_error) continue;
      waiting.push_back(&lane);
      fds.push_back({lane.unpacking.fd(), POLLIN, 0});
    }
    if (poll(fds.data(), fds.size(), -1) < 0)
      return errno == EINTR ? Result<void>()
                            : Error::from_errno(errno, "cannot wait for the layers");
    for (size_t i = 0; i < waiting.size(); ++i)
      if (fds[i + 1].revents != 0) take_unpacked(*waiting[i]);
    if (fds[0].revents != 0) TRY_VOID(take_event());
    for (auto lane = lanes_.begin(); lane != lanes_.end();) {
      auto current = lane++;
      if (!current->arrived) continue;
      if (current->unpack_error)
        return std::move(*current->unpack_error).wrap(in_layer(current->index));
      if (!current->unpacked) continue;
      TRY_VOID_CTX(finish(*current), in_layer(current->index));
      lanes_.erase(current);
    }
    return {};
  }

  void take_unpacked(Lane& lane) {
    Result<archive::UnpackedObjects> unpacked = lane.unpacking.finish();
    if (unpacked) {
      lane.unpacked = std::move(unpacked->layer);
    } else {
      lane.unpack_error = std::move(unpacked.error());
    }
  }

  Result<void> take_event() {
    TRY(Remote::Event event, remote_.next());
    auto lane = std::ranges::find(lanes_, event.id, &Lane::transfer);
    if (lane == lanes_.end()) return {};
    switch (event.kind) {
      case Remote::Event::Kind::kProgress:
        tell(lane->index, LayerProgress::Phase::kDownloading, event.bytes);
        return {};
      case Remote::Event::Kind::kDone:
        lane->arrived = true;
        return {};
      case Remote::Event::Kind::kFailed:
        break;
    }
    // A reader that stopped is the consequence; why it stopped is the cause.
    bool reader_gone = event.error->errnum() == EPIPE;
    if (reader_gone && !lane->unpacked && !lane->unpack_error) take_unpacked(*lane);
    if (reader_gone && lane->unpack_error)
      return std::move(*lane->unpack_error).wrap(in_layer(lane->index));
    return std::move(*event.error);
  }

  Result<void> finish(Lane& lane) {
    const WantedLayer& wanted = layers_[lane.index];
    const archive::Unpacked& got = *lane.unpacked;
    if (got.input != wanted.blob.digest)
      return Error(ErrorKind::kCorrupt, "it came with the digest '" + got.input.str() + "'");
    if (got.diff_id != wanted.diff_id)
      return Error(ErrorKind::kCorrupt, "the tar inside has the digest '" + got.diff_id.str() +
                                            "', the configuration says '" + wanted.diff_id.str() +
                                            "'");
    store::LayerFacts facts{got.diff_id, got.tar_size,
                            store::Blob{got.blob, got.blob_size, wanted.blob.media_type}};
    TRY_VOID(lane.draft.finish(std::move(facts)));
    TRY_VOID(failpoint("transfer.pull.layer"));
    drafts_[lane.index].emplace(std::move(lane.draft));
    tell(lane.index, LayerProgress::Phase::kPullComplete, wanted.blob.size);
    return {};
  }

  // The helper ends with its socket and so does the input of each unpacking; the drafts may go only
  // when nobody writes to them any more.
  void give_up() {
    for (Lane& lane : lanes_)
      if (!lane.arrived) remote_.cancel(lane.transfer);
    for (Lane& lane : lanes_) {
      if (lane.unpacked || lane.unpack_error) continue;
      [[maybe_unused]] auto reaped = lane.unpacking.finish();
    }
    lanes_.clear();
  }

  void tell(size_t index, LayerProgress::Phase phase, uint64_t bytes) {
    if (!progress_) return;
    const oci::Descriptor& blob = layers_[index].blob;
    progress_(
        {std::string(blob.digest.short_hex()), phase, bytes, static_cast<uint64_t>(blob.size), {}});
  }

  std::string in_layer(size_t index) const {
    return "layer '" + layers_[index].blob.digest.str() + "'";
  }

  Remote& remote_;
  store::Store& store_;
  const std::vector<WantedLayer>& layers_;
  const OnProgress& progress_;
  std::list<Lane> lanes_;
  std::vector<std::optional<store::LayerDraft>> drafts_;
};

}  // namespace

Result<std::vector<store::LayerDraft>> fetch_layers(Remote& remote, store::Store& store,
                                                    const std::vector<WantedLayer>& layers,
                                                    int parallel, const OnProgress& progress) {
  TraceScope trace("transfer.layers");
  return Fetcher(remote, store, layers, progress).run(static_cast<size_t>(std::max(1, parallel)));
}

}  // namespace wherry::transfer
