#include "preprocess/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

namespace beamcap::preprocess {
namespace {

TEST(Parallel, RunsEveryTaskOnce) {
  for (const std::size_t threads : {1U, 2U, 7U, 100U}) {
    std::vector<std::atomic<int>> runs(20);
    run_parallel(runs.size(), threads, [&](std::size_t i) { ++runs[i]; });
    for (const std::atomic<int>& count : runs) {
      EXPECT_EQ(count, 1);
    }
  }
}

TEST(Parallel, ThrowsTheFirstExceptionAfterAllTasksRan) {
  std::atomic<int> runs = 0;
  const auto task = [&](std::size_t i) {
    ++runs;
    if (i == 3 || i == 5) {
      throw std::runtime_error("task " + std::to_string(i));
    }
  };
  for (int round = 1; round <= 20; ++round) {
    try {
      run_parallel(8, 4, task);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "task 3");
    }
    EXPECT_EQ(runs, 8 * round);
  }
}

TEST(Parallel, NoTasksAreNoWork) {
  run_parallel(0, 4, [](std::size_t) { FAIL(); });
}

}  // namespace
}  // namespace beamcap::preprocess
