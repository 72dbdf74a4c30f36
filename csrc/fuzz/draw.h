// Values drawn from the fuzzer's bytes, and the checks of what comes of them.
#pragma once

#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <limits>
#include <vector>

namespace beamcap::fuzz {

// Ends the program where a promise is broken: the fuzzer then keeps the input.
inline void check(bool kept, const char* promise) {
  if (kept) return;
  std::fprintf(stderr, "broken: %s\n", promise);
  std::abort();
}

// Once the bytes are used up, every draw gives its simplest value. Only a drawn integer or number may break a rule.
class Draw {
 public:
  Draw(const std::uint8_t* data, std::size_t size) : bytes_(data, size) {}

  // True for one of n.
  bool one_in(int n) { return bytes_.ConsumeIntegralInRange<int>(1, n) == n; }

  bool coin() { return one_in(2); }

  template <typename Integer>
  Integer within(Integer least, Integer most) {
    return bytes_.ConsumeIntegralInRange<Integer>(least, most);
  }

  // From least to most; now and then anything, which validation must refuse or the core must bear.
  std::int64_t integer(std::int64_t least, std::int64_t most) {
    constexpr auto kLimits = std::numeric_limits<std::int64_t>();
    if (!one_in(64)) return within(least, most);
    switch (within(0, 3)) {
      case 0:
        return within(kLimits.min(), kLimits.max());
      case 1:
        return kLimits.min();
      case 2:
        return kLimits.max();
      default:
        return within<std::int64_t>(-2, 1 << 20);
    }
  }

  double number(double least, double most) {
    constexpr auto kLimits = std::numeric_limits<double>();
    if (!one_in(16)) return bytes_.ConsumeFloatingPointInRange(least, most);
    return bytes_.PickValueInArray({0.0, -0.0, 1.0, -1.0, 1e-40, 1e-300, 1e39, -1e39, 1e300, -1e300,
                                    double{std::numeric_limits<float>::max()}, kLimits.denorm_min(),
                                    kLimits.infinity(), -kLimits.infinity(), kLimits.quiet_NaN()});
  }

  template <typename Value>
  Value pick(std::initializer_list<const Value> values) {
    return bytes_.PickValueInArray(values);
  }

  // Up to `most` of what draw_one gives.
  template <typename DrawOne>
  auto list(std::size_t most, DrawOne draw_one) {
    std::vector<decltype(draw_one())> values(within<std::size_t>(0, most));
    for (auto& value : values) value = draw_one();
    return values;
  }

 private:
  FuzzedDataProvider bytes_;
};

}  // namespace beamcap::fuzz
