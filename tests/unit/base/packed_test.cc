#include "base/packed.h"

#include <gtest/gtest.h>

namespace wherry {
namespace {

struct Inner {
  std::string name;
  char letter = 'a';
};
struct Outer {
  bool flag = false;
  int64_t number = 0;
  std::vector<Inner> list;
  std::map<std::string, uint32_t> map;
  std::optional<std::string> maybe;
  std::array<uint8_t, 3> three{};
  std::string raw;
};

void fields(auto& io, auto& value) {
  if constexpr (requires { value.letter; }) {
    io("name", value.name);
    io.letter("letter", value.letter);
  } else {
    io("flag", value.flag);
    io.unless_zero("number", value.number);
    io("list", value.list);
    io.group("group", [&](auto& group) { group("map", value.map); });
    io("maybe", value.maybe);
    io("three", value.three);
    io.bytes("raw", value.raw);
    io.refused("other");
  }
}

Outer example() {
  return {true,      -5,          {{"x\xff", 'b'}, {"", 'c'}}, {{"one", 1}, {"two", 2}},
          "perhaps", {1, 2, 255}, std::string("\0\xff", 2)};
}

std::string packed(const Outer& value) {
  Packer packer;
  fields(packer, value);
  return packer.take();
}

Result<Outer> unpacked(std::string_view bytes) {
  Outer value;
  Unpacker unpacker(bytes);
  fields(unpacker, value);
  TRY_VOID(unpacker.finish());
  return value;
}

TEST(Packed, EveryKindOfFieldComesBack) {
  Result<Outer> back = unpacked(packed(example()));
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_TRUE(back->flag);
  EXPECT_EQ(back->number, -5);
  ASSERT_EQ(back->list.size(), 2u);
  EXPECT_EQ(back->list[0].name, "x\xff");
  EXPECT_EQ(back->list[1].letter, 'c');
  EXPECT_EQ(back->map, example().map);
  EXPECT_EQ(back->maybe, "perhaps");
  EXPECT_EQ(back->three, example().three);
  EXPECT_EQ(back->raw, example().raw);
}

TEST(Packed, EveryTruncationAndWhatFollowsIsRefused) {
  const std::string bytes = packed(example());
  for (size_t length = 0; length < bytes.size(); ++length)
    EXPECT_FALSE(unpacked(bytes.substr(0, length))) << length;
  EXPECT_EQ(unpacked(bytes + "x").error().message(), "'raw' is followed by what nobody knows");
}

TEST(Packed, NoByteThatIsChangedMakesMoreThanThereIs) {
  const std::string bytes = packed(example());
  for (size_t at = 0; at < bytes.size(); ++at)
    for (int value : {0, 1, 2, 127, 255}) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(value);
      Result<Outer> back = unpacked(changed);
      if (!back) continue;
      EXPECT_LE(back->list.size() + back->map.size(), bytes.size()) << at;
    }
}

TEST(Packed, HostileBytesAreRefusedByName) {
  struct Case {
    std::string bytes;
    std::string complaint;
  };
  const std::string zero(8, '\0');
  const std::string many = std::string(7, '\xff') + "\x7f";
  const Case cases[] = {
      {"", "'flag' is cut short"},
      {"\x02" + zero, "'flag' is not true or false"},
      {"\x01" + zero + many, "'list' is cut short"},
      {"\x01" + zero + "\x01" + std::string(7, '\0') + many, "'name' is cut short"},
      {"\x01" + zero + "\x01" + std::string(7, '\0') + "\x02" + std::string(7, '\0') +
           std::string("a\0", 2) + "b",
       "'name' has a NUL byte"},
  };
  for (const Case& one : cases) {
    Result<Outer> back = unpacked(one.bytes);
    ASSERT_FALSE(back) << one.complaint;
    EXPECT_EQ(back.error().message(), one.complaint);
  }
}

}  // namespace
}  // namespace wherry
