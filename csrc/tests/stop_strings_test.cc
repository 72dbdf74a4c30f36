#include "search/stop_strings.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "tests/fake_decoder.h"

namespace beamcap::search {
namespace {

using Strings = std::vector<std::string>;

// Whether the last of these texts completes the string.
bool completes(const Strings& strings, const Strings& texts) {
  Tokens tokens;
  for (std::size_t i = 0; i < texts.size(); ++i) tokens.push_back(static_cast<std::int64_t>(i));
  Strings vocabulary = texts;
  vocabulary.insert(vocabulary.end(), strings.begin(), strings.end());
  const StopStrings stop(strings, vocabulary);
  return stop.completed_by(std::span<const std::int64_t>(tokens).first(tokens.size() - 1), tokens.back());
}

TEST(StopStrings, AreCompletedByTheLastToken) {
  for (const Strings& texts : {Strings{"st", "op"}, Strings{"stop"}, Strings{"st", "opera"}, Strings{"sto", "pper"},
                               Strings{"las", "topper"}, Strings{"s", "to", "pped"}, Strings{"xstopx"}}) {
    EXPECT_TRUE(completes({"stop"}, texts)) << texts.back();
  }
}

TEST(StopStrings, SpanNoMoreTokensThanTheyHaveBytes) {
  EXPECT_TRUE(completes({"stop"}, {"s", "", "to", "p"}));
  EXPECT_FALSE(completes({"stop"}, {"s", "", "t", "o", "p"}));
}

TEST(StopStrings, DoNotLieBeforeTheLastToken) {
  EXPECT_FALSE(completes({"stop"}, {"stop", "at"}));
  EXPECT_FALSE(completes({"stop"}, {"st", "op", "at"}));
  EXPECT_FALSE(completes({"stop"}, {"st", "opera", "tion"}));
  EXPECT_FALSE(completes({"stop"}, {"stop", ""}));
}

TEST(StopStrings, MustBeWhole) {
  EXPECT_FALSE(completes({"stop"}, {"op"}));
  EXPECT_FALSE(completes({"stop"}, {"x", "to", "p"}));
  EXPECT_FALSE(completes({"stop"}, {"st", "x", "op"}));
}

TEST(StopStrings, AnyOfThemIsEnough) {
  EXPECT_TRUE(completes({"stop", "."}, {"a", " b."}));
  EXPECT_TRUE(completes({"aab", "ab"}, {"x", "a", "b"}));
  EXPECT_TRUE(completes({"aa"}, {"aa", "a"}));
}

TEST(StopStrings, AreBytes) {
  // The two bytes of a letter in two tokens.
  EXPECT_TRUE(completes({"\xC3\xA9"}, {"\xC3", "\xA9"}));
  EXPECT_FALSE(completes({"\xC3\xA9"}, {"\xC3", "\xA8"}));
}

TEST(StopStrings, ATokenWithoutATextIsNoPartOfAMatch) {
  const StopStrings stop({"ab"}, {"a", "b"});
  EXPECT_TRUE(stop.completed_by(Tokens{5, 0}, 1));
  EXPECT_FALSE(stop.completed_by(Tokens{0, 5}, 1));
  EXPECT_FALSE(stop.completed_by(Tokens{0}, 5));
  EXPECT_FALSE(stop.completed_by(Tokens{}, 1));
}

TEST(StopStrings, RefuseWhatCouldNotWork) {
  EXPECT_THROW(StopStrings({}, {"a"}), std::invalid_argument);
  EXPECT_THROW(StopStrings({"a", ""}, {"a"}), std::invalid_argument);
  EXPECT_THROW(StopStrings({"ab"}, {"a", "xa"}), std::invalid_argument);
  EXPECT_THROW(StopStrings({"ab"}, {}), std::invalid_argument);
  EXPECT_NO_THROW(StopStrings({"ab"}, {"bx"}));
  EXPECT_NO_THROW(StopStrings({"ab", "cd"}, {"a", "d"}));
}

}  // namespace
}  // namespace beamcap::search
