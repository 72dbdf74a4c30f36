// What the inputs and outputs of the graphs mean, by their names. The names are those of Optimum's ONNX export.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace beamcap::runtime {

enum class Meaning {
  kPixels,         // [images, 3, height, width]
  kTokens,         // [rows, width]
  kAttentionMask,  // [rows, tokens so far]: ones, no row is padded
  kEncoderMask,    // [rows, length of the encoder's states]: ones
  kPositions,      // [rows, width]: the index of each token
  kCachePosition,  // [width]: the same without rows
  kUseCache,       // [1]: which branch of a merged decoder
  kState,          // given to the decoder: by the encoder, or by the decoder's previous step
  kLogits,         // [rows, vocab] or [rows, width, vocab]
  kUnused,         // an output that nothing needs
};

// Its word in `beamcap inspect`.
std::string_view meaning_name(Meaning meaning);

struct Named {
  Meaning meaning = Meaning::kUnused;
  // Of a state: what its input and its output have in common. "past_key_values.0.decoder.key" and
  // "present.0.decoder.key" are both "0.decoder.key"; the encoder's hidden states are kEncoderStates.
  std::string state = {};
};

inline constexpr std::string_view kEncoderStates = "encoder_hidden_states";

// What the errors say is understood.
inline constexpr std::string_view kEncoderInputNames = "pixel_values";
inline constexpr std::string_view kEncoderOutputNames = "last_hidden_state, encoder_hidden_states, present.*";
inline constexpr std::string_view kDecoderInputNames =
    "input_ids, encoder_hidden_states, encoder_attention_mask, attention_mask, decoder_attention_mask, position_ids, "
    "cache_position, use_cache_branch, past_key_values.*";
inline constexpr std::string_view kDecoderOutputNames = "logits, present.*";

// Nothing if the input is not understood: it cannot be left out.
std::optional<Named> encoder_input(std::string_view name);
std::optional<Named> decoder_input(std::string_view name);

// kUnused if the output is not understood: it can be ignored.
Named encoder_output(std::string_view name);
Named decoder_output(std::string_view name);

// Whether a state is the same for all tokens of an image: the encoder's states, and what cross-attention makes of them.
bool constant_per_image(std::string_view state);

}  // namespace beamcap::runtime
