#include "preprocess/recipe.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace beamcap::preprocess {
namespace {

Recipe exact(std::int64_t height, std::int64_t width) {
  Recipe recipe;
  recipe.size = {height, width};
  return recipe;
}

Recipe shortest(std::int64_t edge) {
  Recipe recipe;
  recipe.shortest_edge = edge;
  return recipe;
}

std::string complaint(const Recipe& recipe) {
  try {
    recipe.validate();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST(Recipe, DefaultIsValid) { EXPECT_EQ(complaint(Recipe()), ""); }

TEST(Recipe, NamesTheFieldThatIsWrong) {
  EXPECT_EQ(complaint(exact(0, 224)), "size height must be from 1 to 65536 pixels, got 0");
  EXPECT_EQ(complaint(exact(224, 65537)), "size width must be from 1 to 65536 pixels, got 65537");
  EXPECT_EQ(complaint(shortest(-1)), "shortest_edge must be from 1 to 65536 pixels, got -1");
  Recipe both = exact(1, 1);
  both.shortest_edge = 1;
  EXPECT_NE(complaint(both).find("exclude each other"), std::string::npos);
  Recipe bounded = shortest(1);
  bounded.longest_edge = 0;
  EXPECT_EQ(complaint(bounded), "longest_edge must be from 1 to 65536 pixels, got 0");
  bounded.longest_edge = 2;
  EXPECT_EQ(complaint(bounded), "");
  bounded.max_size = {1, 1};
  EXPECT_NE(complaint(bounded).find("exclude each other"), std::string::npos);
  Recipe padded;
  padded.pad_size = {3, -1};
  EXPECT_EQ(complaint(padded), "pad_size width must be from 1 to 65536 pixels, got -1");
  padded.pad_size = {3, 3};
  padded.crop_size = {3, 3};
  EXPECT_EQ(complaint(padded), "");
  padded.padding = Padding::kAround;
  EXPECT_NE(complaint(padded).find("pads around"), std::string::npos);
  Recipe crop;
  crop.crop_size = {1, std::numeric_limits<std::int64_t>::max()};
  EXPECT_NE(complaint(crop).find("crop_size width"), std::string::npos);
}

TEST(Recipe, NoImageMustBeBeyondIt) {
  Recipe recipe = exact(300, 300);
  recipe.pad_size = {300, 224};
  EXPECT_EQ(complaint(recipe), "pad_size must be at least 300x300, got 300x224");
  recipe.crop_size = {9, 225};
  EXPECT_EQ(complaint(recipe), "pad_size must be at least 9x225, got 300x224");
  recipe.crop_size = {9, 224};
  EXPECT_EQ(complaint(recipe), "");
  EXPECT_EQ(complaint(exact(65536, 65536)), "an output may have at most 268435456 pixels, got 65536x65536");
}

TEST(Recipe, NumbersMustBeFiniteFloats) {
  const auto with = [](double factor, double mean, double deviation) {
    Recipe recipe;
    recipe.rescale_factor = factor;
    recipe.image_mean[1] = mean;
    recipe.image_std[2] = deviation;
    return complaint(recipe);
  };
  EXPECT_NE(with(std::nan(""), 0, 1).find("rescale_factor"), std::string::npos);
  EXPECT_NE(with(1, INFINITY, 1).find("image_mean"), std::string::npos);
  EXPECT_NE(with(1, 1e50, 1).find("image_mean"), std::string::npos);
  EXPECT_NE(with(1, 0, 0).find("image_std"), std::string::npos);
  EXPECT_NE(with(1, 0, 1e-50).find("image_std"), std::string::npos);
}

TEST(Recipe, RefusesPixelsBeyondFloat32) {
  Recipe recipe = exact(1, 1);
  recipe.rescale_factor = 1e38;
  EXPECT_THROW(recipe.validate(), std::invalid_argument);
  recipe.rescale_factor = 1.0;
  recipe.image_std = {1, 1e-37, 1};
  EXPECT_THROW(recipe.validate(), std::invalid_argument);
  recipe.image_std = {1, 1e-36, 1};
  recipe.validate();
}

TEST(Recipe, TheLastStepFixesTheSize) {
  Recipe recipe = exact(3, 4);
  EXPECT_EQ(recipe.fixed_size(), (Size{3, 4}));
  recipe.thumbnail = {2, 2};
  EXPECT_EQ(recipe.fixed_size(), std::nullopt);
  recipe.crop_size = {5, 6};
  EXPECT_EQ(recipe.fixed_size(), (Size{5, 6}));
  recipe.pad_size = {7, 8};
  EXPECT_EQ(recipe.fixed_size(), (Size{7, 8}));
  EXPECT_EQ(shortest(5).fixed_size(), std::nullopt);
}

TEST(Recipe, AllImagesMustHaveOneOutputSize) {
  const std::vector<ImageView> images = {{nullptr, {10, 20}}, {nullptr, {20, 10}}};
  EXPECT_EQ(common_output_size(exact(3, 4), images), (Size{3, 4}));
  EXPECT_THROW(common_output_size(shortest(5), images), std::invalid_argument);
  EXPECT_THROW(common_output_size(Recipe(), images), std::invalid_argument);
}

TEST(Recipe, AnEmptyBatchNeedsAFixedSize) {
  EXPECT_EQ(common_output_size(exact(3, 4), {}), (Size{3, 4}));
  EXPECT_THROW(common_output_size(shortest(5), {}), std::invalid_argument);
}

}  // namespace
}  // namespace beamcap::preprocess
