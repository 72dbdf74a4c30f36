// The graphs of a bundle, and how they fit together: which output feeds which input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/meaning.h"
#include "runtime/session.h"

namespace beamcap::runtime {

// Paths of the graphs. Three forms of decoder are understood:
// - decoder_with_past given: `decoder` feeds the prompt and makes the caches, decoder_with_past goes on from them;
// - one decoder with a past among its inputs (Optimum's merged one, or one without a flag): its first past is empty;
// - one decoder without a past: every step feeds the whole sequence.
struct BundleFiles {
  std::string encoder;
  std::string decoder;
  std::optional<std::string> decoder_with_past;
};

// An input or output with its meaning; `state` is an index into Graphs::states where the meaning is kState.
struct Port {
  Meaning meaning = Meaning::kUnused;
  std::size_t state = 0;
};

struct Graph {
  Session session;
  std::vector<Port> inputs = {};   // one for each of session.inputs()
  std::vector<Port> outputs = {};  // one for each of session.outputs()
};

// Something that the decoder takes and that is not made anew for each step.
struct State {
  std::string name;        // "encoder_hidden_states", "0.decoder.key", ...
  bool per_image = false;  // the same for every row of an image; never changes after it was made
  std::optional<std::size_t> encoder_output = {};  // the encoder's output that begins it
  // As the decoder's inputs declare it.
  ElementType type = ElementType::kFloat32;
  std::vector<Dimension> shape = {};
  std::size_t batch_axis = 0;
};

struct Graphs {
  // Loads the graphs and binds their inputs and outputs. Throws std::runtime_error if one cannot be loaded, or if they
  // do not fit together: the message lists everything that is wrong, what was found and what is known.
  static Graphs load(const BundleFiles& files, const SessionConfig& config);

  // The graph of the steps after the first.
  const Graph& later() const { return decoder_with_past ? *decoder_with_past : decoder; }

  Graph encoder;
  Graph decoder;
  std::optional<Graph> decoder_with_past = {};

  std::vector<State> states = {};
  bool cached = false;  // the states remember the tokens before; else every step feeds the whole sequence
  std::optional<std::int64_t> vocab = {};  // unless dynamic

  // What to fetch, as indices of outputs.
  std::vector<std::size_t> encoder_fetch = {};
  std::vector<std::size_t> first_fetch = {};  // of `decoder`, at the first step; the logits first
  std::vector<std::size_t> later_fetch = {};  // of later(), at every other step; the logits first
};

}  // namespace beamcap::runtime
