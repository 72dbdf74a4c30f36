// Strings that end a caption as soon as its text holds one of them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace beamcap::search {

// Immutable, so searches may share it.
class StopStrings {
 public:
  // token_texts: what each token adds to a running text, in bytes (UTF-8, or a part of a character). Throws
  // std::invalid_argument for no strings, an empty one, or strings that no token can end.
  StopStrings(std::vector<std::string> strings, std::vector<std::string> token_texts);

  // Whether `token` completes a stop string after `tokens` (the prompt counts): the string ends within the token's own
  // text, and the token may go on beyond it. A token without a text completes nothing, and nothing reaches across it.
  bool completed_by(std::span<const std::int64_t> tokens, std::int64_t token) const;

 private:
  bool has_text(std::int64_t token) const { return static_cast<std::uint64_t>(token) < token_texts_.size(); }
  const std::string& text_of(std::int64_t token) const { return token_texts_[static_cast<std::size_t>(token)]; }

  std::vector<std::string> strings_;
  std::vector<std::string> token_texts_;
  std::size_t longest_ = 0;  // bytes of the longest string; no match spans more tokens (the reference counts letters)
};

}  // namespace beamcap::search
