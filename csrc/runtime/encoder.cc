#include "runtime/encoder.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace beamcap::runtime {
namespace {

void check_pixels(const TensorInfo& input, const Tensor& pixel_values) {
  const Shape& given = pixel_values.shape();
  const bool fits = std::ranges::equal(given, input.shape, [](std::int64_t size, const Dimension& declared) {
    return size > 0 && (declared.dynamic() || size == declared.size);
  });
  if (!fits || given[1] != 3) {
    throw std::invalid_argument("pixel_values of shape " + shape_name(given) + " do not fit the model's input " +
                                describe(input) + " (a batch of one image or more, RGB)");
  }
}

}  // namespace

Encoded encode(const Graphs& graphs, const Tensor& pixel_values) {
  const Session& session = graphs.encoder.session;
  const TensorInfo& input = session.inputs().front();
  check_pixels(input, pixel_values);

  // [images, 3, height, width] -> e.g. last_hidden_state [images, length, width]
  const Tensor converted = input.type == pixel_values.type() ? Tensor() : cast(pixel_values, input.type);
  const Tensor* const pixels = converted ? &converted : &pixel_values;
  std::vector<Tensor> outputs = session.run({&pixels, 1}, graphs.encoder_fetch);

  Encoded encoded{pixel_values.shape().front(), std::vector<Tensor>(graphs.states.size())};
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::size_t index = graphs.encoder.outputs[graphs.encoder_fetch[i]].state;
    const State& state = graphs.states[index];
    Tensor& output = outputs[i];
    if (output.shape().size() <= state.batch_axis || output.shape()[state.batch_axis] != encoded.images) {
      throw std::runtime_error(session.path() + ": output " + session.outputs()[graphs.encoder_fetch[i]].name +
                               " has the shape " + shape_name(output.shape()) + " for " +
                               std::to_string(encoded.images) + " images");
    }
    encoded.states[index] = output.type() == state.type ? std::move(output) : cast(output, state.type);
  }
  return encoded;
}

}  // namespace beamcap::runtime
