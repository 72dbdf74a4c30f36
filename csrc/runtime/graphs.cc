#include "runtime/graphs.h"

#include <algorithm>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace beamcap::runtime {
namespace {

bool is_float(ElementType type) { return type == ElementType::kFloat32 || type == ElementType::kFloat16; }

bool is_integer(ElementType type) { return type == ElementType::kInt64 || type == ElementType::kInt32; }

// The types that step_decoder can make of an input that it computes.
bool allowed(Meaning meaning, ElementType type) {
  switch (meaning) {
    case Meaning::kTokens:
    case Meaning::kPositions:
    case Meaning::kCachePosition:
      return is_integer(type);
    case Meaning::kAttentionMask:
    case Meaning::kEncoderMask:
      return is_integer(type) || is_float(type) || type == ElementType::kBool;
    case Meaning::kUseCache:
      return type == ElementType::kBool;
    case Meaning::kPixels:
    case Meaning::kLogits:
    case Meaning::kState:
      return is_float(type);
    case Meaning::kUnused:
      return true;
  }
  return false;
}

// Everything that is wrong with a bundle, so that one error tells it all.
class Problems {
 public:
  void add(const Session& session, const std::string& problem) {
    problems_ += "\n  " + session.file_name() + ": " + problem;
  }

  // Throws if there are any; lists what the graphs have.
  void raise(const std::vector<const Session*>& sessions) const {
    if (problems_.empty()) return;
    std::string message = "the model's graphs do not fit together:" + problems_ + "\nfound:";
    for (const Session* session : sessions) {
      message += "\n  " + session->file_name() + ": inputs " + list(session->inputs()) + "; outputs " +
                 list(session->outputs());
    }
    throw std::runtime_error(message);
  }

 private:
  static std::string list(const std::vector<TensorInfo>& infos) {
    std::string text;
    for (const TensorInfo& info : infos) text += (text.empty() ? "" : ", ") + describe(info);
    return text;
  }

  std::string problems_;
};

// Whether two declared shapes can be the same at run time. Axes that only one of them fixes are left to the run.
bool compatible(const std::vector<Dimension>& a, const std::vector<Dimension>& b) {
  if (a.empty() || b.empty()) return true;
  return std::ranges::equal(a, b, [](const Dimension& x, const Dimension& y) {
    return x.dynamic() || y.dynamic() || x.size == y.size;
  });
}

// Builds a Graphs in the order of its members: ports, states, what to fetch.
class Binder {
 public:
  Binder(const BundleFiles& files, const SessionConfig& config)
      : graphs_{.encoder = {Session(files.encoder, config)}, .decoder = {Session(files.decoder, config)}} {
    if (files.decoder_with_past) graphs_.decoder_with_past = Graph{Session(*files.decoder_with_past, config)};
  }

  Graphs bind() {
    bind_encoder();
    bind_decoder(graphs_.decoder);
    if (graphs_.decoder_with_past) bind_decoder(*graphs_.decoder_with_past);
    raise();
    check_pixels();
    for (const Graph* graph : decoders()) {
      check_tokens(*graph);
      check_logits(*graph);
    }
    check_states();
    raise();
    choose_outputs();
    return std::move(graphs_);
  }

 private:
  std::vector<const Graph*> decoders() const {
    std::vector<const Graph*> graphs = {&graphs_.decoder};
    if (graphs_.decoder_with_past) graphs.push_back(&*graphs_.decoder_with_past);
    return graphs;
  }

  void raise() const {
    std::vector<const Session*> sessions = {&graphs_.encoder.session};
    for (const Graph* graph : decoders()) sessions.push_back(&graph->session);
    problems_.raise(sessions);
  }

  void bind_encoder() {
    Graph& graph = graphs_.encoder;
    bind_inputs(graph, encoder_input, kEncoderInputNames);
    if (!has(graph.inputs, Meaning::kPixels)) problems_.add(graph.session, "no input pixel_values");
    for (const TensorInfo& output : graph.session.outputs()) graph.outputs.push_back(port(encoder_output(output.name)));
  }

  void bind_decoder(Graph& graph) {
    bind_inputs(graph, decoder_input, kDecoderInputNames);
    if (!has(graph.inputs, Meaning::kTokens)) problems_.add(graph.session, "no input input_ids");
    for (const TensorInfo& output : graph.session.outputs()) graph.outputs.push_back(port(decoder_output(output.name)));
    if (!has(graph.outputs, Meaning::kLogits)) {
      problems_.add(graph.session, "no output logits; known: " + std::string(kDecoderOutputNames));
    }
  }

  template <typename Meaner>
  void bind_inputs(Graph& graph, Meaner meaning_of, std::string_view expected) {
    for (const TensorInfo& input : graph.session.inputs()) {
      const std::optional<Named> named = meaning_of(input.name);
      graph.inputs.push_back(port(named.value_or(Named{})));
      if (!named) {
        problems_.add(graph.session, "unknown input " + describe(input) + "; known: " + std::string(expected));
      } else if (!allowed(named->meaning, input.type)) {
        problems_.add(graph.session, "input " + describe(input) + " has a type that is not supported");
      }
    }
  }

  Port port(const Named& named) {
    if (named.meaning != Meaning::kState) return {named.meaning, 0};
    const auto found = std::ranges::find(graphs_.states, named.state, &State::name);
    const auto index = static_cast<std::size_t>(found - graphs_.states.begin());
    if (found == graphs_.states.end()) {
      graphs_.states.push_back({.name = named.state, .per_image = constant_per_image(named.state)});
    }
    return {Meaning::kState, index};
  }

  static std::size_t find(const std::vector<Port>& ports, Meaning meaning) {
    return static_cast<std::size_t>(std::ranges::find(ports, meaning, &Port::meaning) - ports.begin());
  }

  static bool has(const std::vector<Port>& ports, Meaning meaning) { return find(ports, meaning) < ports.size(); }

  // The input or output of a state; nothing if the graph has none.
  static const TensorInfo* find_state(const std::vector<Port>& ports, const std::vector<TensorInfo>& infos,
                                      std::size_t state) {
    for (std::size_t i = 0; i < ports.size(); ++i) {
      if (ports[i].meaning == Meaning::kState && ports[i].state == state) return &infos[i];
    }
    return nullptr;
  }

  static const TensorInfo* input_of(const Graph& graph, std::size_t state) {
    return find_state(graph.inputs, graph.session.inputs(), state);
  }

  static const TensorInfo* output_of(const Graph& graph, std::size_t state) {
    return find_state(graph.outputs, graph.session.outputs(), state);
  }

  void check_pixels() {
    const Graph& graph = graphs_.encoder;
    const TensorInfo& pixels = graph.session.inputs()[find(graph.inputs, Meaning::kPixels)];
    const std::vector<Dimension>& shape = pixels.shape;
    if (shape.size() != 4 || !shape[0].dynamic() || (!shape[1].dynamic() && shape[1].size != 3)) {
      problems_.add(graph.session, "input " + describe(pixels) + "; expected [batch (dynamic), 3, height, width]");
    }
  }

  void check_tokens(const Graph& graph) {
    const TensorInfo& tokens = graph.session.inputs()[find(graph.inputs, Meaning::kTokens)];
    if (tokens.shape.size() != 2 || !tokens.shape[0].dynamic()) {
      problems_.add(graph.session, "input " + describe(tokens) + "; expected [batch (dynamic), width]");
    }
  }

  void check_logits(const Graph& graph) {
    const TensorInfo& logits = graph.session.outputs()[find(graph.outputs, Meaning::kLogits)];
    if (!allowed(Meaning::kLogits, logits.type) || (!logits.shape.empty() && logits.shape.size() != 2 &&
                                                    logits.shape.size() != 3)) {
      problems_.add(graph.session, "output " + describe(logits) +
                                       "; expected float32 or float16 [rows, vocab] or [rows, width, vocab]");
      return;
    }
    if (logits.shape.empty() || logits.shape.back().dynamic()) return;
    if (graphs_.vocab.value_or(logits.shape.back().size) != logits.shape.back().size) {
      problems_.add(graph.session, "output " + describe(logits) + "; the first step has a vocabulary of " +
                                       std::to_string(*graphs_.vocab));
    }
    graphs_.vocab = logits.shape.back().size;
  }

  void check_states() {
    for (std::size_t state = 0; state < graphs_.states.size(); ++state) {
      for (const Graph* graph : decoders()) check_state(*graph, state);
      check_update(state);
    }
    if (std::ranges::none_of(graphs_.states, [](const State& state) { return state.encoder_output.has_value(); })) {
      problems_.add(graphs_.encoder.session, "the decoder takes none of its outputs; known: " +
                                                 std::string(kEncoderOutputNames));
    }
    if (graphs_.decoder_with_past && !graphs_.cached) {
      problems_.add(graphs_.decoder_with_past->session, "no past among the inputs; known: past_key_values.*");
    }
    for (const Graph* graph : decoders()) check_encoder_mask(*graph);
  }

  // The mask is as long as the encoder's hidden states.
  void check_encoder_mask(const Graph& graph) {
    const auto states = std::ranges::find(graphs_.states, kEncoderStates, &State::name);
    const bool known = states != graphs_.states.end() && states->encoder_output && states->shape.size() == 3;
    if (has(graph.inputs, Meaning::kEncoderMask) && !known) {
      problems_.add(graph.session, "takes encoder_attention_mask, but no decoder takes " + std::string(kEncoderStates) +
                                       " [batch, length, width]");
    }
  }

  // A state as one decoder graph takes it.
  void check_state(const Graph& graph, std::size_t index) {
    const TensorInfo* input = input_of(graph, index);
    if (input == nullptr) return;
    State& state = graphs_.states[index];
    if (!state.shape.empty() && input->type != state.type) {
      problems_.add(graph.session, "input " + describe(*input) + " is " + type_name(state.type) + " in " +
                                       graphs_.decoder.session.file_name());
    }
    state.type = input->type;
    state.shape = input->shape;
    state.batch_axis = batch_axis(graph, *input);
    check_beginning(graph, *input, index);
  }

  // The axis that has the tokens' symbol; the first one if the graph does not name its axes.
  std::size_t batch_axis(const Graph& graph, const TensorInfo& input) {
    const std::vector<Dimension>& tokens = graph.session.inputs()[find(graph.inputs, Meaning::kTokens)].shape;
    const std::string symbol = tokens.empty() ? "" : tokens.front().symbol;
    const auto named = std::ranges::find(input.shape, symbol, &Dimension::symbol);
    const bool found = !symbol.empty() && named != input.shape.end();
    const std::size_t axis = found ? static_cast<std::size_t>(named - input.shape.begin()) : 0;
    if (input.shape.empty() || !input.shape[axis].dynamic()) {
      problems_.add(graph.session, "input " + describe(input) + " has no dynamic batch axis");
    }
    return axis;
  }

  // Where a state comes from before `graph` first takes it: the encoder, the first decoder graph, or an empty past.
  void check_beginning(const Graph& graph, const TensorInfo& input, std::size_t index) {
    State& state = graphs_.states[index];
    const Session& encoder = graphs_.encoder.session;
    const Session& decoder = graphs_.decoder.session;
    if (const TensorInfo* made = output_of(graphs_.encoder, index)) {
      state.encoder_output = static_cast<std::size_t>(made - encoder.outputs().data());
      return check_fit(encoder, *made, graph.session, input, is_float(made->type));
    }
    const TensorInfo* made = output_of(graphs_.decoder, index);
    const bool first = &graph == &graphs_.decoder;
    const bool only = !graphs_.decoder_with_past;
    if (!first && made != nullptr) return check_fit(decoder, *made, graph.session, input, false);
    // An empty past will do for what the steps fill, and for what a flag makes the first step ignore.
    if (only && (!state.per_image || (made != nullptr && has(graph.inputs, Meaning::kUseCache)))) return;
    if (first && !only && !state.per_image) {
      problems_.add(graph.session, "takes a past, " + describe(input) + ", and needs no " +
                                       graphs_.decoder_with_past->session.file_name() + " beside it");
      return;
    }
    problems_.add(graph.session, "no output of " + encoder.file_name() +
                                     (first ? "" : " or " + decoder.file_name()) + " feeds input " + describe(input));
  }

  // What a later step makes of a state must be what the next one takes.
  void check_update(std::size_t index) {
    const Graph& graph = graphs_.later();
    const TensorInfo* input = input_of(graph, index);
    if (input == nullptr || graphs_.states[index].per_image) return;
    graphs_.cached = true;
    if (const TensorInfo* made = output_of(graph, index)) {
      return check_fit(graph.session, *made, graph.session, *input, false);
    }
    problems_.add(graph.session, "no output renews input " + describe(*input) + "; expected present." +
                                     graphs_.states[index].name);
  }

  void check_fit(const Session& from, const TensorInfo& output, const Session& to, const TensorInfo& input,
                 bool converts) {
    if ((converts || output.type == input.type) && compatible(output.shape, input.shape)) return;
    problems_.add(from, "output " + describe(output) + " does not fit input " + describe(input) + " of " +
                            to.file_name());
  }

  void choose_outputs() {
    for (const State& state : graphs_.states) {
      if (state.encoder_output) graphs_.encoder_fetch.push_back(*state.encoder_output);
    }
    graphs_.first_fetch = choose_outputs(graphs_.decoder, true);
    graphs_.later_fetch = choose_outputs(graphs_.later(), false);
  }

  // The logits, and the states that go on. A merged decoder's later steps only have dummies for the constant ones.
  std::vector<std::size_t> choose_outputs(const Graph& graph, bool first) const {
    std::vector<std::size_t> chosen = {find(graph.outputs, Meaning::kLogits)};
    for (std::size_t output = 0; graphs_.cached && output < graph.outputs.size(); ++output) {
      const Port& port = graph.outputs[output];
      if (port.meaning != Meaning::kState || input_of(graphs_.later(), port.state) == nullptr) continue;
      const State& state = graphs_.states[port.state];
      if (!state.per_image || (first && !state.encoder_output)) chosen.push_back(output);
    }
    return chosen;
  }

  Graphs graphs_;
  Problems problems_;
};

}  // namespace

Graphs Graphs::load(const BundleFiles& files, const SessionConfig& config) { return Binder(files, config).bind(); }

}  // namespace beamcap::runtime
