// A loop over a few threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace beamcap::preprocess {

// Runs task(0) to task(count - 1), each once, on up to `threads` threads, the caller's among them. All of them run
// even if one throws; then the first exception by index is thrown.
template <typename Task>
void run_parallel(std::size_t count, std::size_t threads, const Task& task) {
  std::vector<std::exception_ptr> errors(count);
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        task(i);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> helpers;
    try {
      while (helpers.size() + 1 < std::min(threads, count)) {
        helpers.emplace_back(work);
      }
    } catch (const std::system_error&) {
      // The machine has no more threads: those that there are do the work.
    }
    work();
  }
  for (const std::exception_ptr& error : errors) {
    if (error) {
      std::rethrow_exception(error);
    }
  }
}

}  // namespace beamcap::preprocess
