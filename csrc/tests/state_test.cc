#include "runtime/state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace beamcap::runtime {
namespace {

using Rows = std::vector<std::int32_t>;

Rows rows_of(std::span<const std::int32_t> rows) { return {rows.begin(), rows.end()}; }

TEST(RowMap, NothingMovesAtFirst) {
  const RowMap map(3);
  EXPECT_EQ(map.images(), 3);
  EXPECT_EQ(map.rows(), 3);
  EXPECT_EQ(map.rows_per_image(), 1);
  EXPECT_TRUE(map.sources().empty());
  EXPECT_TRUE(map.constant_sources().empty());
}

TEST(RowMap, GrowsFromOneRowAnImage) {
  RowMap map(2);
  map.gather(Rows{0, 0, 0, 1, 1, 1});
  EXPECT_EQ(map.rows_per_image(), 3);
  EXPECT_EQ(rows_of(map.sources()), (Rows{0, 0, 0, 1, 1, 1}));
  EXPECT_EQ(rows_of(map.constant_sources()), (Rows{0, 0, 0, 1, 1, 1}));
}

TEST(RowMap, IdentityIsFree) {
  RowMap map(2);
  map.gather(Rows{0, 1});
  map.compact(Rows{0, 1});
  EXPECT_TRUE(map.sources().empty());
  EXPECT_TRUE(map.constant_sources().empty());
}

TEST(RowMap, ReorderedBeamsLeaveConstantsAlone) {
  RowMap map(2);
  map.gather(Rows{0, 0, 1, 1});
  map.settle();
  map.gather(Rows{1, 0, 3, 3});
  EXPECT_EQ(rows_of(map.sources()), (Rows{1, 0, 3, 3}));
  EXPECT_TRUE(map.constant_sources().empty());
}

TEST(RowMap, CompactionKeepsAllRowsOfAnImage) {
  RowMap map(3);
  map.gather(Rows{0, 0, 1, 1, 2, 2});
  map.settle();
  map.compact(Rows{0, 2});
  EXPECT_EQ(map.images(), 2);
  EXPECT_EQ(rows_of(map.sources()), (Rows{0, 1, 4, 5}));
  EXPECT_EQ(rows_of(map.constant_sources()), (Rows{0, 1, 4, 5}));
}

TEST(RowMap, ReorderingsAddUp) {
  RowMap map(2);
  map.gather(Rows{0, 0, 1, 1});
  map.settle();
  map.gather(Rows{1, 0, 3, 2});
  map.gather(Rows{0, 0, 3, 2});
  map.compact(Rows{1});
  EXPECT_EQ(rows_of(map.sources()), (Rows{2, 3}));
}

TEST(RowMap, EveryImageMayLeave) {
  RowMap map(2);
  map.compact({});
  EXPECT_EQ(map.images(), 0);
  EXPECT_EQ(map.rows(), 0);
  EXPECT_THROW(map.gather(Rows{0}), std::invalid_argument);
}

TEST(RowMap, RefusesRowsOfOtherImages) {
  RowMap map(2);
  EXPECT_THROW(map.gather(Rows{0, 1, 1, 1}), std::invalid_argument);
  EXPECT_THROW(map.gather(Rows{0, 0, 1, 2}), std::invalid_argument);
  EXPECT_THROW(map.gather(Rows{-1, 1}), std::invalid_argument);
  EXPECT_THROW(map.gather(Rows{0, 0, 1}), std::invalid_argument);
  EXPECT_THROW(map.gather({}), std::invalid_argument);
}

TEST(RowMap, RefusesImagesThatAreNotAscending) {
  RowMap map(3);
  EXPECT_THROW(map.compact(Rows{1, 0}), std::invalid_argument);
  EXPECT_THROW(map.compact(Rows{1, 1}), std::invalid_argument);
  EXPECT_THROW(map.compact(Rows{3}), std::invalid_argument);
  EXPECT_THROW(map.compact(Rows{-1}), std::invalid_argument);
}

using Labels = std::vector<std::string>;

void carry_out(Labels& labels, std::span<const std::int32_t> sources) {
  if (sources.empty()) return;
  Labels moved;
  for (const std::int32_t row : sources) moved.push_back(labels[static_cast<std::size_t>(row)]);
  labels = moved;
}

// Random reorderings and departures, held against labels that move at once. A label begins with its image.
class RandomMoves {
 public:
  explicit RandomMoves(std::uint32_t seed) : random_(seed), map_(1 + below(4)) {
    for (std::int64_t image = 0; image < map_.images(); ++image) labels_.push_back(std::to_string(image) + ":");
    held_ = constants_ = labels_;
  }

  void leave() {
    Rows kept_images;
    Labels kept;
    for (std::int64_t image = 0; image < map_.images(); ++image) {
      if (below(3) == 0) continue;
      kept_images.push_back(static_cast<std::int32_t>(image));
      const auto begin = labels_.begin() + image * map_.rows_per_image();
      kept.insert(kept.end(), begin, begin + map_.rows_per_image());
    }
    map_.compact(kept_images);
    labels_ = kept;
  }

  void reorder() {
    const std::int64_t before = map_.rows_per_image();
    const std::int64_t after = below(3) == 0 ? 1 + below(3) : before;
    Rows parents;
    for (std::int64_t row = 0; row < map_.images() * after; ++row) {
      parents.push_back(static_cast<std::int32_t>(row / after * before) + below(before));
    }
    map_.gather(parents);
    carry_out(labels_, parents);
  }

  // What a step does: it moves the tensors, then every row becomes another.
  void step() {
    carry_out(held_, map_.sources());
    carry_out(constants_, map_.constant_sources());
    map_.settle();
    EXPECT_EQ(held_, labels_);
    ASSERT_EQ(constants_.size(), labels_.size());
    for (std::size_t row = 0; row < labels_.size(); ++row) {
      EXPECT_EQ(constants_[row].front(), labels_[row].front());
      labels_[row] += std::to_string(row);
    }
    held_ = labels_;
  }

  std::int32_t below(std::int64_t end) {
    return static_cast<std::int32_t>(random_() % static_cast<std::uint32_t>(end));
  }

  bool empty() const { return map_.rows() == 0; }

 private:
  std::mt19937 random_;
  RowMap map_;
  Labels labels_;     // moved at once
  Labels held_;       // as a state tensor, moved before a step
  Labels constants_;  // as a tensor that is constant per image
};

TEST(RowMap, MatchesRowsThatMoveAtOnce) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    RandomMoves moves(seed);
    for (int i = 0; i < 20 && !moves.empty(); ++i) {
      const std::int32_t choice = moves.below(5);
      if (choice == 0) {
        moves.leave();
      } else if (choice < 3) {
        moves.reorder();
      } else {
        moves.step();
      }
    }
  }
}

std::vector<std::int16_t> gathered(const std::vector<std::int16_t>& source, std::size_t source_rows,
                                   std::size_t inner_values, const Rows& rows, std::size_t outer) {
  std::vector<std::int16_t> out(outer * rows.size() * inner_values);
  gather_rows(std::as_bytes(std::span(source)), source_rows, inner_values * sizeof(std::int16_t), rows,
              std::as_writable_bytes(std::span(out)));
  return out;
}

TEST(GatherRows, MovesRowsOfTheFirstAxis) {
  EXPECT_EQ(gathered({1, 2, 3, 4, 5, 6}, 3, 2, {2, 0, 0, 1}, 1), (std::vector<std::int16_t>{5, 6, 1, 2, 1, 2, 3, 4}));
}

TEST(GatherRows, MovesRowsOfALaterAxis) {
  // [layers 2, rows 3, 1]
  EXPECT_EQ(gathered({1, 2, 3, 4, 5, 6}, 3, 1, {2, 0}, 2), (std::vector<std::int16_t>{3, 1, 6, 4}));
}

TEST(GatherRows, AnEmptyPastHasNothingToMove) { EXPECT_TRUE(gathered({}, 3, 0, {2, 0}, 1).empty()); }

TEST(GatherRows, RefusesWhatDoesNotFit) {
  EXPECT_THROW(gathered({1, 2, 3}, 3, 1, {3}, 1), std::invalid_argument);
  EXPECT_THROW(gathered({1, 2, 3}, 3, 1, {-1}, 1), std::invalid_argument);
  EXPECT_THROW(gathered({1, 2, 3}, 2, 1, {0}, 1), std::invalid_argument);
  EXPECT_THROW(gathered({1, 2, 3}, 3, 1, {0}, 2), std::invalid_argument);
}

}  // namespace
}  // namespace beamcap::runtime
