#include "runtime/state.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>

namespace beamcap::runtime {
namespace {

std::vector<std::int32_t> pick(const std::vector<std::int32_t>& sources, std::span<const std::int32_t> rows) {
  std::vector<std::int32_t> picked;
  picked.reserve(rows.size());
  for (const std::int32_t row : rows) picked.push_back(sources[static_cast<std::size_t>(row)]);
  return picked;
}

}  // namespace

RowMap::RowMap(std::int64_t images)
    : images_(images), held_(static_cast<std::size_t>(images)), sources_(held_), constant_sources_(held_) {
  settle();
}

void RowMap::gather(std::span<const std::int32_t> parents) {
  const auto count = static_cast<std::int64_t>(parents.size());
  if (count == 0 || images_ == 0 || count % images_ != 0) {
    throw std::invalid_argument("gather: " + std::to_string(count) + " rows for " + std::to_string(images_) +
                                " images");
  }
  const std::int64_t per_image = count / images_;
  for (std::int64_t row = 0; row < count; ++row) {
    const std::int64_t parent = parents[static_cast<std::size_t>(row)];
    if (parent < 0 || parent >= rows() || parent / rows_per_image() != row / per_image) {
      throw std::invalid_argument("gather: row " + std::to_string(row) + " cannot go on from row " +
                                  std::to_string(parent));
    }
  }
  if (count != rows()) constant_sources_ = pick(constant_sources_, parents);
  sources_ = pick(sources_, parents);
}

void RowMap::compact(std::span<const std::int32_t> images) {
  const std::int64_t per_image = rows_per_image();
  std::vector<std::int32_t> kept;
  std::int64_t previous = -1;
  for (const std::int32_t image : images) {
    if (image <= previous || image >= images_) {
      throw std::invalid_argument("compact: image " + std::to_string(image) + " is not one of " +
                                  std::to_string(images_) + " in ascending order");
    }
    previous = image;
    for (std::int64_t row = 0; row < per_image; ++row) {
      kept.push_back(static_cast<std::int32_t>(image * per_image + row));
    }
  }
  images_ = static_cast<std::int64_t>(images.size());
  sources_ = pick(sources_, kept);
  constant_sources_ = pick(constant_sources_, kept);
}

std::span<const std::int32_t> RowMap::sources() const { return unless_identity(sources_); }

std::span<const std::int32_t> RowMap::constant_sources() const { return unless_identity(constant_sources_); }

void RowMap::settle() {
  held_ = sources_.size();
  std::iota(sources_.begin(), sources_.end(), 0);
  constant_sources_ = sources_;
}

std::span<const std::int32_t> RowMap::unless_identity(const std::vector<std::int32_t>& sources) const {
  std::int32_t next = 0;
  const auto in_place = [&next](std::int32_t source) { return source == next++; };
  const bool identity = sources.size() == held_ && std::ranges::all_of(sources, in_place);
  return identity ? std::span<const std::int32_t>() : sources;
}

void gather_rows(std::span<const std::byte> source, std::size_t source_rows, std::size_t inner,
                 std::span<const std::int32_t> rows, std::span<std::byte> out) {
  const std::size_t block = source_rows * inner;
  const std::size_t outer = block == 0 ? 0 : source.size() / block;
  if (outer * block != source.size() || out.size() != outer * rows.size() * inner) {
    throw std::invalid_argument("gather_rows: the sizes do not fit");
  }
  for (const std::int32_t row : rows) {
    const bool known = row >= 0 && static_cast<std::size_t>(row) < source_rows;
    if (!known) throw std::invalid_argument("gather_rows: there is no row " + std::to_string(row));
  }
  std::byte* to = out.data();
  for (std::size_t o = 0; o < outer; ++o) {
    for (const std::int32_t row : rows) {
      std::memcpy(to, source.data() + o * block + static_cast<std::size_t>(row) * inner, inner);
      to += inner;
    }
  }
}

}  // namespace beamcap::runtime
