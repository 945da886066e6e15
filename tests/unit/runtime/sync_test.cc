#include "runtime/sync.h"

#include <gtest/gtest.h>

namespace wherry::runtime {
namespace {

TEST(Channel, TellsTheLastWordsOfAPeerThatDiedWithUnreadMessages) {
  Result<ChannelPair> pair = make_channel_pair();
  ASSERT_TRUE(pair);
  Channel &ours = pair->parent, &theirs = pair->child;
  ASSERT_TRUE(ours.send(MessageType::kLinkReady));
  ASSERT_TRUE(theirs.send_error(Error::from_errno(EIO, "cannot mount '/data'")));
  theirs.close();
  Result<std::optional<Message>> message = ours.receive();
  ASSERT_TRUE(message && *message);
  EXPECT_EQ((*message)->type, MessageType::kFailed);
  EXPECT_EQ((*message)->error->message(), "cannot mount '/data': input/output error");
  message = ours.receive();
  EXPECT_TRUE(message && !*message) << "then it is closed";
}

}  // namespace
}  // namespace wherry::runtime
