#include "runtime/step_decoder.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "common/half.h"

namespace beamcap::runtime {
namespace {

Tensor integers(ElementType type, Shape shape, std::span<const std::int64_t> values) {
  Tensor made = Tensor::allocate(type, std::move(shape));
  if (type == ElementType::kInt64) {
    std::ranges::copy(values, made.values<std::int64_t>().begin());
  } else {
    std::ranges::transform(values, made.values<std::int32_t>().begin(),
                           [](std::int64_t value) { return static_cast<std::int32_t>(value); });
  }
  return made;
}

Tensor ones(ElementType type, Shape shape) {
  Tensor made = Tensor::allocate(type, std::move(shape));
  switch (type) {
    case ElementType::kFloat32:
      std::ranges::fill(made.values<float>(), 1.0f);
      break;
    case ElementType::kFloat16:
      std::ranges::fill(made.values<std::uint16_t>(), half_from_float(1.0f));
      break;
    case ElementType::kInt32:
      std::ranges::fill(made.values<std::int32_t>(), 1);
      break;
    case ElementType::kInt64:
      std::ranges::fill(made.values<std::int64_t>(), 1);
      break;
    case ElementType::kBool:
      std::ranges::fill(made.values<bool>(), true);
      break;
  }
  return made;
}

// The state before the first token: every dynamic axis but the batch is empty. A recurrent state has none; it is zero.
Tensor empty_past(const State& state, std::int64_t images) {
  Shape shape;
  for (const Dimension& dimension : state.shape) shape.push_back(dimension.dynamic() ? 0 : dimension.size);
  shape[state.batch_axis] = images;
  return Tensor::zeros(state.type, std::move(shape));
}

// [.., held rows, ..] -> [.., rows.size(), ..] along the batch axis.
Tensor moved(const Tensor& source, std::size_t batch_axis, std::span<const std::int32_t> rows) {
  Shape shape = source.shape();
  const auto held = static_cast<std::size_t>(shape[batch_axis]);
  shape[batch_axis] = static_cast<std::int64_t>(rows.size());
  Tensor made = Tensor::allocate(source.type(), std::move(shape));
  std::size_t inner = element_size(made.type());
  for (std::size_t axis = batch_axis + 1; axis < made.shape().size(); ++axis) {
    inner *= static_cast<std::size_t>(made.shape()[axis]);
  }
  gather_rows(source.bytes(), held, inner, rows, made.bytes());
  return made;
}

// The index of each token: past, past + 1, ... in every row.
std::vector<std::int64_t> positions(std::int64_t past, std::int64_t width, std::int64_t rows) {
  std::vector<std::int64_t> made(static_cast<std::size_t>(rows * width));
  for (std::int64_t i = 0; i < rows * width; ++i) made[static_cast<std::size_t>(i)] = past + i % width;
  return made;
}

bool takes(const Graph& graph, std::size_t state) {
  return std::ranges::any_of(
      graph.inputs, [state](const Port& port) { return port.meaning == Meaning::kState && port.state == state; });
}

}  // namespace

StepDecoder::StepDecoder(const Graphs& graphs, Encoded encoded)
    : graphs_(graphs), rows_(encoded.images), states_(std::move(encoded.states)), vocab_(graphs.vocab.value_or(0)) {
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const bool has_length = states_[i] && states_[i].shape().size() == 3;
    if (graphs_.states[i].name == kEncoderStates && has_length) encoder_length_ = states_[i].shape()[1];
  }
  for (const Port& port : graphs_.decoder.inputs) {
    if (port.meaning == Meaning::kState && !states_[port.state]) {
      states_[port.state] = empty_past(graphs_.states[port.state], encoded.images);
    }
  }
}

void StepDecoder::gather(std::span<const std::int32_t> parents) { rows_.gather(parents); }

void StepDecoder::compact(std::span<const std::int32_t> images) { rows_.compact(images); }

// tokens [rows, width] -> logits [rows, vocab]
search::Logits StepDecoder::step(std::span<const std::int64_t> tokens, std::int64_t width) {
  const auto count = static_cast<std::int64_t>(tokens.size());
  if (width < 1 || count == 0 || count != rows_.rows() * width) {
    throw std::invalid_argument("step: " + std::to_string(count) + " tokens for " + std::to_string(rows_.rows()) +
                                " rows of " + std::to_string(width));
  }
  move_rows();
  if (!graphs_.cached) remember(tokens, width);
  const search::Logits logits = graphs_.cached ? run({tokens, width, past_}) : run({history_, past_ + width, 0});
  if (steps_ == 0) forget_first();
  past_ += width;
  ++steps_;
  return logits;
}

// Carries out the reorderings since the last step.
void StepDecoder::move_rows() {
  const std::span<const std::int32_t> sources = rows_.sources();
  const std::span<const std::int32_t> constant_sources = rows_.constant_sources();
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const State& state = graphs_.states[i];
    const auto moves = state.per_image ? constant_sources : sources;
    if (states_[i] && !moves.empty()) states_[i] = moved(states_[i], state.batch_axis, moves);
  }
  if (!history_.empty() && !sources.empty()) {
    const std::size_t width = static_cast<std::size_t>(past_);
    std::vector<std::int64_t> kept(sources.size() * width);
    gather_rows(std::as_bytes(std::span(history_)), history_.size() / width, width * sizeof(std::int64_t), sources,
                std::as_writable_bytes(std::span(kept)));
    history_ = std::move(kept);
  }
  rows_.settle();
}

// history [rows, past] + tokens [rows, width] -> history [rows, past + width]
void StepDecoder::remember(std::span<const std::int64_t> tokens, std::int64_t width) {
  std::vector<std::int64_t> longer;
  longer.reserve(history_.size() + tokens.size());
  for (std::int64_t row = 0; row < rows_.rows(); ++row) {
    longer.insert(longer.end(), history_.begin() + row * past_, history_.begin() + (row + 1) * past_);
    longer.insert(longer.end(), tokens.begin() + row * width, tokens.begin() + (row + 1) * width);
  }
  history_ = std::move(longer);
}

// tokens [rows, width], states [rows, ...] -> logits_ [rows, vocab] or [rows, width, vocab], states [rows, ...]
search::Logits StepDecoder::run(const Fed& fed) {
  const bool first = steps_ == 0;
  const Graph& graph = first ? graphs_.decoder : graphs_.later();
  const std::vector<TensorInfo>& infos = graph.session.inputs();
  std::vector<Tensor> made(infos.size());
  std::vector<const Tensor*> inputs;
  for (std::size_t i = 0; i < infos.size(); ++i) {
    const Port& port = graph.inputs[i];
    if (port.meaning == Meaning::kState) {
      inputs.push_back(&states_[port.state]);
    } else {
      made[i] = make_input(infos[i].type, port.meaning, fed);
      inputs.push_back(&made[i]);
    }
  }
  const std::vector<std::size_t>& fetch = first ? graphs_.first_fetch : graphs_.later_fetch;
  std::vector<Tensor> outputs = graph.session.run(inputs, fetch);
  logits_ = std::move(outputs.front());
  for (std::size_t i = 1; i < fetch.size(); ++i) keep(graph, fetch[i], std::move(outputs[i]));
  return last_logits(graph.session, fed.width);
}

Tensor StepDecoder::make_input(ElementType type, Meaning meaning, const Fed& fed) const {
  const std::int64_t rows = rows_.rows();
  switch (meaning) {
    case Meaning::kTokens:
      return integers(type, {rows, fed.width}, fed.tokens);
    case Meaning::kPositions:
      return integers(type, {rows, fed.width}, positions(fed.past, fed.width, rows));
    case Meaning::kCachePosition:
      return integers(type, {fed.width}, positions(fed.past, fed.width, 1));
    case Meaning::kAttentionMask:
      return ones(type, {rows, fed.past + fed.width});
    case Meaning::kEncoderMask:
      return ones(type, {rows, encoder_length_});
    case Meaning::kUseCache:
      return fed.past > 0 ? ones(type, {1}) : Tensor::zeros(type, {1});
    case Meaning::kPixels:
    case Meaning::kState:
    case Meaning::kLogits:
    case Meaning::kUnused:
      break;
  }
  throw std::logic_error("no decoder input means " + std::string(meaning_name(meaning)));
}

// A state for the next step: [rows, ...] along its batch axis.
void StepDecoder::keep(const Graph& graph, std::size_t output, Tensor value) {
  const std::size_t index = graph.outputs[output].state;
  const State& state = graphs_.states[index];
  const Shape& shape = value.shape();
  if (shape.size() != state.shape.size() || shape[state.batch_axis] != rows_.rows()) {
    throw std::runtime_error(graph.session.path() + ": output " + graph.session.outputs()[output].name +
                             " has the shape " + shape_name(shape) + " for " + std::to_string(rows_.rows()) + " rows");
  }
  states_[index] = std::move(value);
}

// Frees what the later steps do not take: the encoder's states, if their keys and values are cached.
void StepDecoder::forget_first() {
  for (std::size_t i = 0; i < states_.size(); ++i) {
    if (!takes(graphs_.later(), i)) states_[i] = Tensor();
  }
}

// logits_ [rows, vocab], [rows, 1, vocab] or [rows, width, vocab] -> [rows, vocab] float32; in place if it is that.
search::Logits StepDecoder::last_logits(const Session& session, std::int64_t width) {
  const Shape& shape = logits_.shape();
  const std::int64_t scored = shape.size() == 3 ? shape[1] : 1;
  const std::int64_t vocab = shape.empty() ? 0 : shape.back();
  const bool fits = (shape.size() == 2 || shape.size() == 3) && shape[0] == rows_.rows() && vocab > 0 &&
                    (scored == 1 || scored == width) && (vocab_ == 0 || vocab == vocab_);
  if (!fits) {
    throw std::runtime_error(session.path() + ": the logits have the shape " + shape_name(shape) + " for " +
                             std::to_string(rows_.rows()) + " rows of " + std::to_string(width) + " tokens" +
                             (vocab_ == 0 ? "" : " and a vocabulary of " + std::to_string(vocab_)));
  }
  vocab_ = vocab;
  if (logits_.type() == ElementType::kFloat32 && scored == 1) return {logits_.values<float>(), vocab};

  const auto size = static_cast<std::size_t>(vocab);
  const auto stride = static_cast<std::size_t>(scored) * size;
  last_.resize(static_cast<std::size_t>(rows_.rows()) * size);
  for (std::size_t row = 0; row < last_.size() / size; ++row) {
    const std::size_t begin = (row + 1) * stride - size;
    const auto out = last_.begin() + static_cast<std::ptrdiff_t>(row * size);
    if (logits_.type() == ElementType::kFloat32) {
      std::ranges::copy(std::as_const(logits_).values<float>().subspan(begin, size), out);
    } else {
      std::ranges::transform(std::as_const(logits_).values<std::uint16_t>().subspan(begin, size), out, float_from_half);
    }
  }
  return {last_, vocab};
}

}  // namespace beamcap::runtime
