#include "search/processors.h"

#include <algorithm>
#include <limits>

#include "search/bans.h"
#include "search/penalties.h"
#include "search/warpers.h"
#include "search/whole_row.h"

namespace beamcap::search {
namespace {

// A bad word is a sequence of bias -inf; one that is but an EOS is ignored.
std::vector<SequenceBias> bad_words(const Options& options) {
  std::vector<SequenceBias> sequences;
  for (const std::vector<std::int64_t>& word : options.bad_words_ids) {
    if (word.size() == 1 && options.is_eos(word.front())) continue;
    sequences.push_back({word, -std::numeric_limits<double>::infinity()});
  }
  return sequences;
}

// min_new_tokens wins over min_length, as in the reference.
std::int64_t least_length(const Options& options, std::int64_t prompt_length) {
  return options.min_new_tokens > 0 ? prompt_length + options.min_new_tokens : options.min_length;
}

// Where the first token is forced, the caption begins after it.
std::int64_t caption_begin(const Options& options, std::int64_t prompt_length) {
  return prompt_length == 1 && options.forced_bos_token_id ? 2 : prompt_length;
}

}  // namespace

Processors::Processors(const Options& options, std::int64_t prompt_length) {
  const auto add_if = [this](bool wanted, auto make) {
    if (wanted) processors_.push_back(make());
  };
  const Options& o = options;
  add_if(!o.sequence_bias.empty(), [&] { return sequence_bias(o.sequence_bias); });
  add_if(o.repetition_penalty != 1.0, [&] { return repetition_penalty(o.repetition_penalty); });
  add_if(o.no_repeat_ngram_size > 0, [&] { return no_repeat_ngram(o.no_repeat_ngram_size); });
  add_if(!o.bad_words_ids.empty(), [&] { return sequence_bias(bad_words(o)); });
  const std::int64_t least = least_length(o, prompt_length);
  add_if(least > 0, [&] { return suppress_before(least, o.eos_token_ids); });
  add_if(o.forced_bos_token_id.has_value(), [&] { return force_at(1, {*o.forced_bos_token_id}); });
  add_if(!o.forced_eos_token_ids.empty(), [&] { return force_at(o.max_length - 1, o.forced_eos_token_ids); });
  add_if(o.remove_invalid_values, remove_invalid_values);
  add_if(o.exponential_decay_length_penalty.has_value(),
         [&] { return exponential_decay(*o.exponential_decay_length_penalty, prompt_length, o.eos_token_ids); });
  add_if(!o.suppress_tokens.empty(), [&] { return suppress(o.suppress_tokens); });
  add_if(!o.begin_suppress_tokens.empty(),
         [&] { return suppress_at(caption_begin(o, prompt_length), o.begin_suppress_tokens); });

  const auto keep = static_cast<std::size_t>(o.num_beams > 1 ? o.candidates_per_beam() : 1);
  add_if(o.do_sample && o.temperature != 1.0, [&] { return temperature(o.temperature); });
  add_if(o.do_sample && o.top_k > 0, [&] { return top_k(static_cast<std::size_t>(o.top_k), keep); });
  add_if(o.do_sample && o.top_p < 1.0, [&] { return top_p(o.top_p, keep); });
  add_if(o.do_sample && o.min_p > 0.0, [&] { return min_p(o.min_p, keep); });
  add_if(o.do_sample && o.typical_p < 1.0, [&] { return typical_p(o.typical_p, keep); });
  add_if(o.do_sample && o.epsilon_cutoff > 0.0, [&] { return epsilon_cutoff(o.epsilon_cutoff, keep); });
  add_if(o.do_sample && o.eta_cutoff > 0.0, [&] { return eta_cutoff(o.eta_cutoff, keep); });
  add_if(o.renormalize_logits, renormalize);
}

void Processors::process(std::span<const std::int64_t> tokens, RowScores& scores) {
  for (const ProcessorPtr& processor : processors_) processor->process(tokens, scores);
}

}  // namespace beamcap::search
