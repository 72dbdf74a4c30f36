#include "preprocess/layout.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace beamcap::preprocess {
namespace {

Recipe shortest(std::int64_t edge) {
  Recipe recipe;
  recipe.shortest_edge = edge;
  return recipe;
}

Recipe between(std::int64_t shortest_edge, std::int64_t longest_edge) {
  Recipe recipe = shortest(shortest_edge);
  recipe.longest_edge = longest_edge;
  return recipe;
}

Recipe longest(std::int64_t edge) {
  Recipe recipe;
  recipe.longest_edge = edge;
  return recipe;
}

Recipe within(Size most) {
  Recipe recipe;
  recipe.max_size = most;
  return recipe;
}

std::string complaint(const Recipe& recipe, Size image) {
  try {
    recipe.output_size(image);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST(Layout, ShortestEdgeTruncatesTheLongOne) {
  EXPECT_EQ(shortest(224).output_size({427, 640}), (Size{224, 335}));  // 335.74
  EXPECT_EQ(shortest(224).output_size({640, 427}), (Size{335, 224}));
  EXPECT_EQ(shortest(224).output_size({9, 9}), (Size{224, 224}));
  EXPECT_EQ(shortest(3).output_size({1, 3}), (Size{3, 9}));
}

TEST(Layout, LongestEdgeBesideItLowersTheShortOne) {
  EXPECT_EQ(between(100, 200).output_size({10, 15}), (Size{100, 150}));
  EXPECT_EQ(between(100, 200).output_size({10, 40}), (Size{50, 200}));
  EXPECT_EQ(between(100, 25).output_size({10, 10}), (Size{25, 25}));
  // 62.5 and 63.5 as the short edge: a half goes to the even number, and the long one keeps the fraction.
  EXPECT_EQ(between(100, 125).output_size({10, 20}), (Size{62, 125}));
  EXPECT_EQ(between(100, 127).output_size({20, 10}), (Size{127, 64}));
}

TEST(Layout, LongestEdgeAloneRoundsHalfUp) {
  EXPECT_EQ(longest(1024).output_size({427, 640}), (Size{683, 1024}));  // 683.2
  EXPECT_EQ(longest(5).output_size({2, 1}), (Size{5, 3}));              // 2.5
  EXPECT_EQ(longest(7).output_size({4, 4}), (Size{7, 7}));
}

TEST(Layout, MaxSizeIsReachedOnOneSide) {
  EXPECT_EQ(within({50, 50}).output_size({100, 200}), (Size{25, 50}));
  EXPECT_EQ(within({200, 500}).output_size({100, 200}), (Size{200, 400}));
}

TEST(Layout, ThumbnailsAreMadeOfWhatIsTooLarge) {
  Recipe recipe = shortest(90);
  recipe.thumbnail = {120, 90};
  EXPECT_EQ(recipe.output_size({40, 30}), (Size{120, 90}));
  EXPECT_EQ(recipe.output_size({80, 30}), (Size{120, 45}));  // of 240x90
  EXPECT_EQ(recipe.output_size({30, 40}), (Size{67, 90}));   // of 90x120
  EXPECT_EQ(recipe.output_size({30, 30}), (Size{90, 90}));
}

TEST(Layout, CropAndPaddingDecideTheOutput) {
  Recipe recipe = shortest(224);
  recipe.crop_size = {200, 300};
  EXPECT_EQ(recipe.output_size({1, 3000}), (Size{200, 300}));
  recipe.pad_size = {250, 300};
  EXPECT_EQ(recipe.output_size({1, 3000}), (Size{250, 300}));
  const Layout layout(recipe, {5, 5});
  EXPECT_EQ(layout.rows.kept.first, 12);
  EXPECT_EQ(layout.rows.kept.count, 200);
  EXPECT_EQ(layout.rows.offset, 0);
  EXPECT_EQ(layout.columns.offset, 38);
  EXPECT_TRUE(layout.padded());
  EXPECT_TRUE(layout.crop_exceeds());
}

TEST(Layout, WhatDoesNotFitItsPaddingIsRefused) {
  Recipe recipe;
  recipe.pad_size = {10, 10};
  EXPECT_EQ(complaint(recipe, {10, 10}), "");
  EXPECT_EQ(complaint(recipe, {11, 10}), "an image of 11x10 would become 11x10: that does not fit into pad_size 10x10");
}

TEST(Layout, WhatBecomesNarrowerThanAPixelIsRefused) {
  for (const Recipe& recipe : {longest(100), within({100, 100}), between(50, 100)}) {
    EXPECT_EQ(complaint(recipe, {100, 1}), "") << "as large as a side may be";
    EXPECT_NE(complaint(recipe, {1, 1000}).find("too narrow"), std::string::npos);
  }
}

TEST(Layout, RefusesOutputsOutOfAllProportion) {
  Recipe exact;
  exact.size = {1 << 15, 1 << 14};
  EXPECT_NE(complaint(shortest(224), {1, 3000}), "");
  EXPECT_NE(complaint(exact, {8, 8}), "");
  Recipe cropped = shortest(kMaxOutputSide);
  cropped.crop_size = {224, 224};
  EXPECT_NE(complaint(cropped, {1, kMaxInputSide}), "");
  // A thumbnail needs the whole resized image in memory, which a crop does not.
  Recipe thumbnail = shortest(224);
  thumbnail.crop_size = {224, 224};
  EXPECT_EQ(complaint(thumbnail, {1, 3000}), "");
  thumbnail.thumbnail = {224, 224};
  EXPECT_NE(complaint(thumbnail, {1, 3000}).find("before a thumbnail"), std::string::npos);
}

}  // namespace
}  // namespace beamcap::preprocess
