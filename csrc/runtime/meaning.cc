#include "runtime/meaning.h"

#include <array>
#include <utility>

namespace beamcap::runtime {
namespace {

constexpr std::array<std::pair<std::string_view, Meaning>, 9> kDecoderInputs = {{
    {"input_ids", Meaning::kTokens},
    {"decoder_input_ids", Meaning::kTokens},
    {"attention_mask", Meaning::kAttentionMask},
    {"decoder_attention_mask", Meaning::kAttentionMask},
    {"encoder_attention_mask", Meaning::kEncoderMask},
    {"position_ids", Meaning::kPositions},
    {"cache_position", Meaning::kCachePosition},
    {"use_cache_branch", Meaning::kUseCache},
    {kEncoderStates, Meaning::kState},
}};

// "past_key_values.0.key" without "past_key_values" is the state "0.key".
std::optional<Named> state_after(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  if (name.size() < 2 || (name.front() != '.' && name.front() != '_')) return std::nullopt;
  return Named{Meaning::kState, std::string(name.substr(1))};
}

std::optional<Named> past(std::string_view name) {
  const auto found = state_after(name, "past_key_values");
  return found ? found : state_after(name, "past");
}

std::optional<Named> present(std::string_view name) {
  const auto found = state_after(name, "present_key_values");
  return found ? found : state_after(name, "present");
}

}  // namespace

std::string_view meaning_name(Meaning meaning) {
  switch (meaning) {
    case Meaning::kPixels:
      return "pixels";
    case Meaning::kTokens:
      return "tokens";
    case Meaning::kAttentionMask:
      return "attention mask";
    case Meaning::kEncoderMask:
      return "encoder attention mask";
    case Meaning::kPositions:
      return "positions";
    case Meaning::kCachePosition:
      return "cache position";
    case Meaning::kUseCache:
      return "use-cache flag";
    case Meaning::kState:
      return "state";
    case Meaning::kLogits:
      return "logits";
    case Meaning::kUnused:
      return "unused";
  }
  return "unknown";
}

std::optional<Named> encoder_input(std::string_view name) {
  if (name == "pixel_values") return Named{Meaning::kPixels};
  return std::nullopt;
}

std::optional<Named> decoder_input(std::string_view name) {
  for (const auto& [known, meaning] : kDecoderInputs) {
    if (name == known) return Named{meaning, meaning == Meaning::kState ? std::string(name) : ""};
  }
  return past(name);
}

Named encoder_output(std::string_view name) {
  if (name == "last_hidden_state" || name == kEncoderStates) return {Meaning::kState, std::string(kEncoderStates)};
  return present(name).value_or(Named{});
}

Named decoder_output(std::string_view name) {
  if (name == "logits") return {Meaning::kLogits};
  return present(name).value_or(Named{});
}

bool constant_per_image(std::string_view state) { return state.find("encoder") != std::string_view::npos; }

}  // namespace beamcap::runtime
