#include "search/warpers.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "search/softmax.h"

namespace beamcap::search {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class Temperature : public Processor {
 public:
  explicit Temperature(double temperature) : temperature_(static_cast<float>(temperature)) {}

  void process(std::span<const std::int64_t>, RowScores& scores) override {
    for (float& score : scores.dense()) score /= temperature_;
  }

 private:
  float temperature_;
};

// Bans tokens by what the row says of them.
class Warper : public Processor {
 public:
  explicit Warper(std::size_t keep) : keep_(keep) {}

  void process(std::span<const std::int64_t>, RowScores& scores) final {
    row_ = scores.dense();
    summarize(row_, summary_);
    if (summary_.fault().empty()) warp();
  }

 protected:
  // For rows in which some token is possible.
  virtual void warp() = 0;

  std::size_t keep() const { return keep_; }
  std::span<float> row() const { return row_; }

  // -surprise of a token.
  float log_prob(std::size_t token) const { return summary_.log_softmax(row_[token]); }

  // Of every token: [vocab].
  std::span<const float> probabilities() {
    exponentials(row_, summary_.log_softmax.max, probabilities_);
    double sum = 0.0;
    for (const float weight : probabilities_) sum += weight;
    for (float& weight : probabilities_) weight /= static_cast<float>(sum);
    return probabilities_;
  }

  // The expected surprise.
  float entropy(std::span<const float> probabilities) const {
    double sum = 0.0;
    for (std::size_t token = 0; token < row_.size(); ++token) {
      if (probabilities[token] > 0) sum -= static_cast<double>(probabilities[token]) * log_prob(token);
    }
    return static_cast<float>(sum);
  }

  // The score of the k-th best token, or of the last.
  float kth_best(std::size_t k) {
    best_.resize(std::min(k, row_.size()));
    std::partial_sort_copy(row_.begin(), row_.end(), best_.begin(), best_.end(), std::greater<>());
    return best_.back();
  }

 private:
  std::size_t keep_;
  std::span<float> row_;
  RowSummary summary_;
  std::vector<float> probabilities_;
  std::vector<float> best_;
};

class TopKWarper : public Warper {
 public:
  TopKWarper(std::size_t k, std::size_t keep) : Warper(keep), k_(std::max(k, keep)) {}

 protected:
  void warp() override {
    const float least = kth_best(k_);
    for (float& score : row()) score = score < least ? -kInfinity : score;
  }

 private:
  std::size_t k_;
};

// Bans what is less likely than a limit that depends on the probabilities.
class ProbabilityCutoff : public Warper {
 public:
  using Warper::Warper;

 protected:
  virtual float limit(std::span<const float> probabilities) const = 0;

  void warp() override {
    const std::span<const float> probability = probabilities();
    const float least = limit(probability);
    const float kept = kth_best(keep());
    for (std::size_t token = 0; token < row().size(); ++token) {
      if (probability[token] < least && row()[token] < kept) row()[token] = -kInfinity;
    }
  }
};

// As a cutoff, but of the tokens that equal the last one kept in spite of it only as many stay as are kept.
class MinP : public Warper {
 public:
  MinP(double p, std::size_t keep) : Warper(keep), p_(static_cast<float>(p)) {}

 protected:
  void warp() override {
    const std::span<const float> probability = probabilities();
    const float least = p_ * *std::max_element(probability.begin(), probability.end());
    const float kept = kth_best(keep());
    const auto better = std::count_if(row().begin(), row().end(), [&](float score) { return score > kept; });
    std::size_t equals = std::min(keep(), row().size()) - static_cast<std::size_t>(better);  // that stay
    for (std::size_t token = 0; token < row().size(); ++token) {
      if (probability[token] >= least || row()[token] > kept) continue;
      if (row()[token] == kept && equals > 0) {
        --equals;
      } else {
        row()[token] = -kInfinity;
      }
    }
  }

 private:
  float p_;
};

class EpsilonCutoff : public ProbabilityCutoff {
 public:
  EpsilonCutoff(double epsilon, std::size_t keep) : ProbabilityCutoff(keep), epsilon_(static_cast<float>(epsilon)) {}

 protected:
  float limit(std::span<const float>) const override { return epsilon_; }

 private:
  float epsilon_;
};

class EtaCutoff : public ProbabilityCutoff {
 public:
  EtaCutoff(double epsilon, std::size_t keep) : ProbabilityCutoff(keep), epsilon_(static_cast<float>(epsilon)) {}

 protected:
  float limit(std::span<const float> probabilities) const override {
    return std::min(epsilon_, std::sqrt(epsilon_) * std::exp(-entropy(probabilities)));
  }

 private:
  float epsilon_;
};

// The possible tokens, taken one by one in an order of their own; a heap, for mostly only a few are taken.
class Ranking {
 public:
  struct Entry {
    float key;
    std::size_t token;
  };

  // Whether a is taken after b. The greatest key comes first, and of equal keys the greatest or the least token.
  using Order = bool (*)(const Entry& a, const Entry& b);
  static bool greatest_token(const Entry& a, const Entry& b) {
    return a.key < b.key || (a.key == b.key && a.token < b.token);
  }
  static bool least_token(const Entry& a, const Entry& b) {
    return a.key < b.key || (a.key == b.key && a.token > b.token);
  }

  explicit Ranking(Order is_later) : is_later_(is_later) {}

  void reset() { entries_.clear(); }
  void add(float key, std::size_t token) { entries_.push_back({key, token}); }

  // After the last add, before the first take.
  void order() { std::make_heap(entries_.begin(), entries_.end(), is_later_); }
  Entry take() {
    std::pop_heap(entries_.begin(), entries_.end(), is_later_);
    const Entry taken = entries_.back();
    entries_.pop_back();
    return taken;
  }
  const std::vector<Entry>& rest() const { return entries_; }

 private:
  Order is_later_;
  std::vector<Entry> entries_;
};

class TopP : public Warper {
 public:
  TopP(double p, std::size_t keep) : Warper(keep), dropped_(static_cast<float>(1.0 - p)) {}

 protected:
  void warp() override {
    const std::span<const float> probability = probabilities();
    double rest = 0.0;  // probability of the tokens not yet taken
    ranking_.reset();
    for (std::size_t token = 0; token < row().size(); ++token) {
      if (row()[token] == -kInfinity) continue;
      ranking_.add(row()[token], token);
      rest += probability[token];
    }
    ranking_.order();
    for (std::size_t taken = 0; !ranking_.rest().empty(); ++taken) {
      if (taken >= keep() && static_cast<float>(rest) <= dropped_) break;
      rest -= probability[ranking_.take().token];
    }
    for (const Ranking::Entry& entry : ranking_.rest()) row()[entry.token] = -kInfinity;
  }

 private:
  float dropped_;
  Ranking ranking_{Ranking::greatest_token};  // the reference drops from the other end
};

class TypicalP : public Warper {
 public:
  TypicalP(double p, std::size_t keep) : Warper(keep), p_(static_cast<float>(p)) {}

 protected:
  void warp() override {
    const std::span<const float> probability = probabilities();
    const float expected = entropy(probability);
    ranking_.reset();
    for (std::size_t token = 0; token < row().size(); ++token) {
      if (row()[token] != -kInfinity) ranking_.add(-std::abs(-log_prob(token) - expected), token);
    }
    ranking_.order();
    double sum = 0.0;
    float least = -kInfinity;  // the key of the last that is needed
    std::size_t taken = 0;
    for (; static_cast<float>(sum) < p_; ++taken) {
      if (ranking_.rest().empty()) return;
      const Ranking::Entry entry = ranking_.take();
      sum += probability[entry.token];
      least = entry.key;
    }
    for (; taken < keep() && !ranking_.rest().empty(); ++taken) ranking_.take();
    for (const Ranking::Entry& entry : ranking_.rest()) {
      if (entry.key < least) row()[entry.token] = -kInfinity;
    }
  }

 private:
  float p_;
  Ranking ranking_{Ranking::least_token};
};

}  // namespace

ProcessorPtr temperature(double temperature) { return std::make_unique<Temperature>(temperature); }

ProcessorPtr top_k(std::size_t k, std::size_t keep) { return std::make_unique<TopKWarper>(k, keep); }

ProcessorPtr top_p(double p, std::size_t keep) { return std::make_unique<TopP>(p, keep); }

ProcessorPtr min_p(double p, std::size_t keep) { return std::make_unique<MinP>(p, keep); }

ProcessorPtr typical_p(double p, std::size_t keep) { return std::make_unique<TypicalP>(p, keep); }

ProcessorPtr epsilon_cutoff(double epsilon, std::size_t keep) { return std::make_unique<EpsilonCutoff>(epsilon, keep); }

ProcessorPtr eta_cutoff(double epsilon, std::size_t keep) { return std::make_unique<EtaCutoff>(epsilon, keep); }

}  // namespace beamcap::search
