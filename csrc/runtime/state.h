// Which rows the decoder's state must have: beams that were reordered, images that left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace beamcap::runtime {

// Maps the rows that the search wants to the rows that the state tensors hold. Reorderings add up here and are carried
// out once, before the next step reads the tensors.
class RowMap {
 public:
  // One row an image.
  explicit RowMap(std::int64_t images);

  std::int64_t images() const { return images_; }
  std::int64_t rows() const { return static_cast<std::int64_t>(sources_.size()); }
  std::int64_t rows_per_image() const { return images_ == 0 ? 0 : rows() / images_; }

  // search::Decoder's gather and compact. Throw std::invalid_argument for parents that are not of the row's own image,
  // and for images that are not ascending.
  void gather(std::span<const std::int32_t> parents);
  void compact(std::span<const std::int32_t> images);

  // Row i is to hold what row sources()[i] holds. Empty: nothing moves.
  std::span<const std::int32_t> sources() const;

  // The same for what is constant per image: which of an image's rows it comes from makes no difference, so that it
  // moves only when the batch grew or shrank.
  std::span<const std::int32_t> constant_sources() const;

  // The tensors have been reordered.
  void settle();

 private:
  std::span<const std::int32_t> unless_identity(const std::vector<std::int32_t>& sources) const;

  std::int64_t images_;
  std::size_t held_;  // rows of the tensors
  std::vector<std::int32_t> sources_;
  std::vector<std::int32_t> constant_sources_;
};

// out[o, i, :] = source[o, rows[i], :] where source is [outer, source_rows, inner bytes] and out [outer, rows.size(),
// inner bytes]: a gather along any axis of any tensor. Throws std::invalid_argument if a row or a size does not fit.
void gather_rows(std::span<const std::byte> source, std::size_t source_rows, std::size_t inner,
                 std::span<const std::int32_t> rows, std::span<std::byte> out);

}  // namespace beamcap::runtime
