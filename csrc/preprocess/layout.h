// Where the pixels of one image go: the sizes that it passes through, and its place in the output.
#pragma once

#include <cstdint>
#include <string>

#include "preprocess/recipe.h"

namespace beamcap::preprocess {

struct Range {
  std::int64_t first = 0;
  std::int64_t count = 0;
};

// One axis of the output. Around the pixels that are kept the crop is black, and around the crop is the padding.
struct AxisLayout {
  Range kept;               // of the resized pixels
  std::int64_t offset = 0;  // of the first of them, in the output
  Range crop;               // in the output
};

struct Layout {
  // Throws std::invalid_argument if a size on the way is zero or too large, or does not fit into pad_size. The recipe
  // and the image's size are valid.
  Layout(const Recipe& recipe, Size image);

  bool padded() const { return rows.crop.count < output.height || columns.crop.count < output.width; }
  bool crop_exceeds() const { return rows.kept.count < rows.crop.count || columns.kept.count < columns.crop.count; }

  Size resized;  // by the recipe's rule
  Size shrunk;   // and to the thumbnail; the same where there is none
  Size output;
  AxisLayout rows;
  AxisLayout columns;
};

// "480x640"
std::string size_text(Size size);

}  // namespace beamcap::preprocess
