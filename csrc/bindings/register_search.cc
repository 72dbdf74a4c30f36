#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "bindings/register.h"
#include "search/search.h"

namespace py = pybind11;

namespace beamcap::bindings {
namespace {

using search::Decoder;
using search::EarlyStopping;
using search::ExponentialDecay;
using search::FinishReason;
using search::Hypothesis;
using search::ImageResult;
using search::Options;
using search::SequenceBias;
using search::StopStrings;

template <typename T>
py::array_t<T> copy_to_numpy(std::span<const T> values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

// A decoder written in Python. The search runs without the GIL, so each call takes it.
class PythonDecoder : public Decoder {
 public:
  search::Logits step(std::span<const std::int64_t> tokens, std::int64_t width) override {
    const py::gil_scoped_acquire gil;
    const auto rows = static_cast<py::ssize_t>(tokens.size()) / static_cast<py::ssize_t>(width);
    py::array_t<std::int64_t> array = copy_to_numpy(tokens).reshape({rows, static_cast<py::ssize_t>(width)});
    // Kept here until the next step: the search reads it in place.
    logits_ = LogitsArray(method("step")(array));
    if (logits_.ndim() != 2 || logits_.shape(0) != rows) {
      throw std::runtime_error("Decoder.step must return logits of shape (" + std::to_string(rows) +
                               ", vocabulary), but returned " + py::str(logits_.attr("shape")).cast<std::string>());
    }
    return {{logits_.data(), static_cast<std::size_t>(logits_.size())}, logits_.shape(1)};
  }

  void gather(std::span<const std::int32_t> parents) override {
    const py::gil_scoped_acquire gil;
    method("gather")(copy_to_numpy(parents));
  }

  void compact(std::span<const std::int32_t> images) override {
    const py::gil_scoped_acquire gil;
    method("compact")(copy_to_numpy(images));
  }

 private:
  using LogitsArray = py::array_t<float, py::array::c_style | py::array::forcecast>;

  py::function method(const char* name) const {
    py::function found = py::get_override(static_cast<const Decoder*>(this), name);
    if (!found) throw std::runtime_error(std::string("a Decoder must define the method ") + name);
    return found;
  }

  LogitsArray logits_;
};

// How a type of option looks in Python: by default, as pybind11 casts it.
template <typename T>
T from_python(const py::handle& value) {
  return value.cast<T>();
}

template <typename T>
py::object to_python(const T& value) {
  return py::cast(value);
}

py::object to_python(EarlyStopping value) {
  if (value == EarlyStopping::kNever) return py::str("never");
  return py::bool_(value == EarlyStopping::kWhenFull);
}

template <>
EarlyStopping from_python(const py::handle& value) {
  if (py::isinstance<py::bool_>(value)) {
    return value.cast<bool>() ? EarlyStopping::kWhenFull : EarlyStopping::kHeuristic;
  }
  if (py::isinstance<py::str>(value) && value.cast<std::string>() == "never") return EarlyStopping::kNever;
  throw std::invalid_argument("early_stopping is " + py::repr(value).cast<std::string>() +
                              ", but must be False, True or \"never\"");
}

py::object to_python(const std::vector<SequenceBias>& sequences) {
  py::list list;
  for (const SequenceBias& sequence : sequences) list.append(py::make_tuple(sequence.tokens, sequence.bias));
  return list;
}

template <>
std::vector<SequenceBias> from_python(const py::handle& value) {
  std::vector<SequenceBias> sequences;
  for (auto& [tokens, bias] : value.cast<std::vector<std::pair<std::vector<std::int64_t>, double>>>()) {
    sequences.push_back({std::move(tokens), bias});
  }
  return sequences;
}

py::object to_python(const std::optional<ExponentialDecay>& decay) {
  return decay ? py::object(py::make_tuple(decay->start, decay->factor)) : py::none();
}

template <>
std::optional<ExponentialDecay> from_python(const py::handle& value) {
  const auto decay = value.cast<std::optional<std::pair<std::int64_t, double>>>();
  return decay ? std::optional(ExponentialDecay{decay->first, decay->second}) : std::nullopt;
}

py::object to_python(const std::shared_ptr<const StopStrings>& strings) {
  return py::cast(std::const_pointer_cast<StopStrings>(strings));
}

template <>
std::shared_ptr<const StopStrings> from_python(const py::handle& value) {
  return value.cast<std::shared_ptr<StopStrings>>();
}

// Calls visit(name, member) for every option.
template <typename Visit>
void for_each_option(Visit visit) {
  visit("num_beams", &Options::num_beams);
  visit("num_return_sequences", &Options::num_return_sequences);
  visit("max_length", &Options::max_length);
  visit("min_length", &Options::min_length);
  visit("min_new_tokens", &Options::min_new_tokens);
  visit("length_penalty", &Options::length_penalty);
  visit("early_stopping", &Options::early_stopping);
  visit("eos_token_ids", &Options::eos_token_ids);
  visit("stop_strings", &Options::stop_strings);
  visit("sequence_bias", &Options::sequence_bias);
  visit("repetition_penalty", &Options::repetition_penalty);
  visit("no_repeat_ngram_size", &Options::no_repeat_ngram_size);
  visit("bad_words_ids", &Options::bad_words_ids);
  visit("forced_bos_token_id", &Options::forced_bos_token_id);
  visit("forced_eos_token_ids", &Options::forced_eos_token_ids);
  visit("remove_invalid_values", &Options::remove_invalid_values);
  visit("exponential_decay_length_penalty", &Options::exponential_decay_length_penalty);
  visit("suppress_tokens", &Options::suppress_tokens);
  visit("begin_suppress_tokens", &Options::begin_suppress_tokens);
  visit("renormalize_logits", &Options::renormalize_logits);
  visit("do_sample", &Options::do_sample);
  visit("temperature", &Options::temperature);
  visit("top_k", &Options::top_k);
  visit("top_p", &Options::top_p);
  visit("min_p", &Options::min_p);
  visit("typical_p", &Options::typical_p);
  visit("epsilon_cutoff", &Options::epsilon_cutoff);
  visit("eta_cutoff", &Options::eta_cutoff);
}

Options make_options(const py::kwargs& given) {
  Options options;
  std::size_t known = 0;
  for_each_option([&](const char* name, auto member) {
    if (!given.contains(name)) return;
    ++known;
    using Value = std::remove_reference_t<decltype(options.*member)>;
    const py::object value = given[name];
    try {
      options.*member = from_python<Value>(value);
    } catch (const py::cast_error&) {
      throw py::type_error(std::string(name) + " is " + py::repr(value).cast<std::string>() + ", of a wrong type");
    }
  });
  if (known < given.size()) {
    for_each_option([&](const char* name, auto) { given.attr("pop")(name, py::none()); });
    throw py::type_error("Options has no option " + py::repr(*given.attr("keys")().begin()).cast<std::string>());
  }
  return options;
}

void register_options(py::module_& module) {
  py::class_<Options> options(
      module, "Options",
      "The resolved options of one search; names and meaning are those of transformers' GenerationConfig, and every "
      "default turns its rule off. max_length and min_length count the prompt. Checked when a search starts, or before "
      "by validate().");
  options.def(py::init(&make_options))
      .def(
          "validate",
          [](const Options& self, const std::vector<std::int64_t>& prompt) { self.validate(prompt); },
          py::arg("prompt"),
          "Checks the options now, for a search from this prompt. Raises ValueError that names the option, what was "
          "given and what is allowed.");
  for_each_option([&](const char* name, auto member) {
    options.def_property_readonly(name, [member](const Options& self) { return to_python(self.*member); });
  });
}

void register_stop_strings(py::module_& module) {
  py::class_<StopStrings, std::shared_ptr<StopStrings>>(
      module, "StopStrings",
      "Strings that end a caption as soon as its text holds one of them. Immutable; searches may share it.\n\n"
      "Args:\n"
      "    stop_strings: one or more, not empty.\n"
      "    token_texts: what each token id adds to a running text, as str or (where a token is a part of a character)\n"
      "        bytes of UTF-8. Ids beyond have no text and are never part of a match.\n\n"
      "Raises:\n"
      "    ValueError: no string or an empty one, or no token can end any of the strings.")
      .def(py::init<std::vector<std::string>, std::vector<std::string>>(), py::arg("stop_strings"),
           py::arg("token_texts"));
}

const char* finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kEos:
      return "eos";
    case FinishReason::kStopString:
      return "stop_string";
    case FinishReason::kLength:
      return "length";
  }
  return "";
}

void register_results(py::module_& module) {
  py::class_<Hypothesis>(module, "Hypothesis", "One caption as the search found it.")
      .def_readonly("tokens", &Hypothesis::tokens, "Generated ids, with the EOS that ended them, without the prompt.")
      .def_readonly("score", &Hypothesis::score,
                    "Sum of log-probabilities / (generated tokens)**length_penalty; of beam search the processed ones, "
                    "else token_log_probs.")
      .def_readonly("token_log_probs", &Hypothesis::token_log_probs,
                    "Of each of the tokens, the log-softmax of the model's raw logits, before any rule changed them; "
                    "always finite (the least float32 where the model gave the token no probability).")
      .def_property_readonly(
          "finish_reason", [](const Hypothesis& self) { return finish_reason_name(self.finish_reason); },
          "\"eos\", \"stop_string\" or \"length\".");
  py::class_<ImageResult>(module, "ImageResult", "What the search found for one image.")
      .def_readonly("hypotheses", &ImageResult::hypotheses, "Best first (independent samples: in the order of their streams); empty if there is an error.")
      .def_property_readonly(
          "error",
          [](const ImageResult& self) -> py::object {
            if (self.error.empty()) return py::none();
            return py::str(self.error);
          },
          "Why there is no hypothesis, or None.");
}

}  // namespace

void register_search(py::module_& module) {
  register_stop_strings(module);
  register_options(module);
  register_results(module);
  py::class_<Decoder, PythonDecoder>(
      module, "Decoder",
      "A batch of images that logits can be asked of. Subclass it to search with a model of one's own: every image has "
      "the same number of rows (one at first), and row = image * rows_per_image + beam. Define\n"
      "step(tokens: int64 [rows, width]) -> float32 [rows, vocabulary]: feeds tokens (the prompt at first, then one a "
      "row) and returns the logits after the last; the array must not change before the next step;\n"
      "gather(parents: int32 [new rows]): new row i goes on from the old row parents[i];\n"
      "compact(images: int32 [kept]): keeps only these images, with all their rows.")
      .def(py::init<>());
  module.def(
      "search",
      [](Decoder& decoder, std::int64_t images, const std::vector<std::int64_t>& prompt, const Options& options,
         const std::optional<std::vector<std::uint64_t>>& image_seeds) {
        return search::search(decoder, images, prompt, options, image_seeds.value_or(std::vector<std::uint64_t>{}));
      },
      py::arg("decoder"), py::arg("images"), py::arg("prompt"), py::arg("options"), py::arg("image_seeds") = py::none(),
      py::call_guard<py::gil_scoped_release>(),
      "Searches captions for the images of a decoder that has been fed nothing yet; with beams if num_beams > 1, at "
      "random if do_sample. image_seeds: what each image's random numbers come from alone, one an image; with do_sample "
      "only. Returns one result an image, in order. Raises ValueError for bad options or seeds, RuntimeError if the "
      "decoder breaks its contract, and what the decoder raises.");
}

}  // namespace beamcap::bindings
