#include "search/stop_strings.h"

#include <algorithm>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace beamcap::search {
namespace {

// Whether a token of this text can hold the string's end: the whole string, or after other tokens the rest of it.
bool can_end(std::string_view text, std::string_view string) {
  if (text.find(string) != std::string_view::npos) return true;
  for (std::size_t length = 1; length <= std::min(text.size(), string.size()); ++length) {
    if (text.substr(0, length) == string.substr(string.size() - length)) return true;
  }
  return false;
}

}  // namespace

StopStrings::StopStrings(std::vector<std::string> strings, std::vector<std::string> token_texts)
    : strings_(std::move(strings)), token_texts_(std::move(token_texts)) {
  if (strings_.empty()) throw std::invalid_argument("stop_strings is empty, but must hold at least one string");
  for (const std::string& string : strings_) {
    if (string.empty()) throw std::invalid_argument("stop_strings holds an empty string, which would end every caption");
    longest_ = std::max(longest_, string.size());
  }
  const auto ends_one = [this](const std::string& text) {
    return std::any_of(strings_.begin(), strings_.end(), [&](const std::string& s) { return can_end(text, s); });
  };
  if (std::none_of(token_texts_.begin(), token_texts_.end(), ends_one)) {
    throw std::invalid_argument("stop_strings would never stop a caption: no token of the vocabulary can end one of them");
  }
}

bool StopStrings::completed_by(std::span<const std::int64_t> tokens, std::int64_t token) const {
  if (!has_text(token)) return false;
  std::size_t before = 0;  // tokens that a match may reach into
  while (before + 1 < longest_ && before < tokens.size() && has_text(tokens[tokens.size() - 1 - before])) ++before;

  std::string text;
  for (const std::int64_t earlier : tokens.last(before)) text += text_of(earlier);
  const std::size_t last_begin = text.size();
  text += text_of(token);
  return std::any_of(strings_.begin(), strings_.end(), [&](const std::string& string) {
    // From here on a match ends within the last token.
    const std::size_t from = last_begin + 1 > string.size() ? last_begin + 1 - string.size() : 0;
    return text.find(string, from) != std::string::npos;
  });
}

}  // namespace beamcap::search
