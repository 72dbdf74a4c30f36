// float16 (IEEE 754 binary16, as ONNX stores it) to and from float32, in portable code.
#pragma once

#include <cstdint>

namespace beamcap {

// Exact.
float float_from_half(std::uint16_t half);

// To the nearest, ties to even; beyond the largest half: infinity. NaN stays NaN.
std::uint16_t half_from_float(float value);

}  // namespace beamcap
