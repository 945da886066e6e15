#include "build/key.h"

#include <gtest/gtest.h>

#include "sys/sha256.h"

namespace wherry::build {
namespace {

KeyParts run_parts() {
  KeyParts parts("RUN", "RUN make");
  parts.add("argv", std::vector<std::string>{"/bin/sh", "-c", "make"});
  parts.add("user", "web");
  return parts;
}

const Digest kParent = sys::sha256("parent");

TEST(Key, IsTheSameForTheSameParts) {
  EXPECT_EQ(run_parts().key(kParent), run_parts().key(kParent));
}

TEST(Key, ChangesWithTheParent) {
  EXPECT_NE(run_parts().key(kParent), run_parts().key(sys::sha256("other")));
}

TEST(Key, ChangesWithEachPart) {
  KeyParts other_user = run_parts();
  other_user.add("network", "none");
  EXPECT_NE(run_parts().key(kParent), other_user.key(kParent));
  KeyParts copy("COPY", "RUN make");
  KeyParts run("RUN", "RUN make");
  EXPECT_NE(copy.key(kParent), run.key(kParent));
}

TEST(Key, DoesNotChangeWithTheInstructionAsWritten) {
  EXPECT_EQ(KeyParts("RUN", "RUN make").key(kParent), KeyParts("RUN", "run  make").key(kParent));
}

TEST(Key, DoesNotChangeWithExplanations) {
  KeyParts explained = run_parts();
  explained.explain("files", "a b c");
  EXPECT_EQ(run_parts().key(kParent), explained.key(kParent));
}

TEST(Key, KeepsListsApartThatJoinToTheSameText) {
  using List = std::vector<std::string>;
  auto key = [](const List& env, const List& mounts) {
    KeyParts parts("RUN", "");
    return parts.add("env", env).add("mounts", mounts).key(kParent);
  };
  EXPECT_NE(key({"A=1", "B=2"}, {}), key({"A=1"}, {"B=2"}));
  EXPECT_NE(key({"A=1 B=2"}, {}), key({"A=1", "B=2"}, {}));
  EXPECT_NE(key({"ab", "c"}, {}), key({"a", "bc"}, {}));
  EXPECT_NE(key({""}, {}), key({}, {}));
}

TEST(Key, KeepsTextsApartThatAreNoUtf8) {
  KeyParts a("RUN", ""), b("RUN", "");
  a.add("argv", "\xff");
  b.add("argv", "\xfe");
  EXPECT_NE(a.key(kParent), b.key(kParent));
}

TEST(KeyParts, AreKeptAsOneDocumentInTheirOrder) {
  EXPECT_EQ(
      run_parts().json(kParent),
      "{\"parent\":\"" + kParent.str() +
          "\",\"version\":\"wherry-build-1\",\"platform\":\"linux/amd64\",\"kind\":\"RUN\","
          "\"instruction\":\"RUN make\",\"argv\":[\"/bin/sh\",\"-c\",\"make\"],\"user\":\"web\"}");
}

}  // namespace
}  // namespace wherry::build
