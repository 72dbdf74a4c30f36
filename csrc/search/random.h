// Random numbers for sampling: SplitMix64 (Steele, Lea and Flood, 2014), the same on every machine.
#pragma once

#include <cstdint>

namespace beamcap::search {

class Random {
 public:
  // Streams of one seed, and seeds next to each other, are unrelated.
  Random(std::uint64_t seed, std::uint64_t stream) : state_(mix(mix(seed + kStep) + stream)) {}

  // Uniform in [0, 1), a multiple of 2^-53.
  double uniform() {
    state_ += kStep;
    return static_cast<double>(mix(state_) >> 11) * 0x1p-53;
  }

 private:
  static constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15;

  static constexpr std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  std::uint64_t state_;
};

}  // namespace beamcap::search
