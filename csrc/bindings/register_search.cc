#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bindings/register.h"
#include "search/search.h"

namespace py = pybind11;

namespace beamcap::bindings {
namespace {

using search::Decoder;
using search::EarlyStopping;
using search::FinishReason;
using search::Hypothesis;
using search::ImageResult;
using search::Options;

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

py::object early_stopping_to_python(EarlyStopping value) {
  if (value == EarlyStopping::kNever) return py::str("never");
  return py::bool_(value == EarlyStopping::kWhenFull);
}

EarlyStopping early_stopping_from_python(const py::object& value) {
  if (py::isinstance<py::bool_>(value)) {
    return value.cast<bool>() ? EarlyStopping::kWhenFull : EarlyStopping::kHeuristic;
  }
  if (py::isinstance<py::str>(value) && value.cast<std::string>() == "never") return EarlyStopping::kNever;
  throw std::invalid_argument("early_stopping is " + py::repr(value).cast<std::string>() +
                              ", but must be False, True or \"never\"");
}

void register_options(py::module_& module) {
  const Options defaults;
  py::class_<Options>(module, "Options",
                      "The resolved options of one search; names and meaning are those of transformers' "
                      "GenerationConfig. max_length and min_length count the prompt. Checked when a search starts, or "
                      "before by validate().")
      .def(py::init([](std::int64_t num_beams, std::int64_t num_return_sequences, std::int64_t max_length,
                       std::int64_t min_length, std::int64_t min_new_tokens, double length_penalty,
                       const py::object& early_stopping, double repetition_penalty, std::int64_t no_repeat_ngram_size,
                       std::vector<std::int64_t> eos_token_ids) {
             return Options{num_beams,          num_return_sequences,
                            max_length,         min_length,
                            min_new_tokens,     length_penalty,
                            early_stopping_from_python(early_stopping),
                            repetition_penalty, no_repeat_ngram_size,
                            std::move(eos_token_ids)};
           }),
           py::kw_only(), py::arg("num_beams") = defaults.num_beams,
           py::arg("num_return_sequences") = defaults.num_return_sequences, py::arg("max_length") = defaults.max_length,
           py::arg("min_length") = defaults.min_length, py::arg("min_new_tokens") = defaults.min_new_tokens,
           py::arg("length_penalty") = defaults.length_penalty, py::arg("early_stopping") = false,
           py::arg("repetition_penalty") = defaults.repetition_penalty,
           py::arg("no_repeat_ngram_size") = defaults.no_repeat_ngram_size,
           py::arg("eos_token_ids") = defaults.eos_token_ids)
      .def(
          "validate",
          [](const Options& self, const std::vector<std::int64_t>& prompt) { self.validate(prompt); },
          py::arg("prompt"),
          "Checks the options now, for a search from this prompt. Raises ValueError that names the option, what was "
          "given and what is allowed.")
      .def_readonly("num_beams", &Options::num_beams)
      .def_readonly("num_return_sequences", &Options::num_return_sequences)
      .def_readonly("max_length", &Options::max_length)
      .def_readonly("min_length", &Options::min_length)
      .def_readonly("min_new_tokens", &Options::min_new_tokens)
      .def_readonly("length_penalty", &Options::length_penalty)
      .def_property_readonly("early_stopping",
                             [](const Options& self) { return early_stopping_to_python(self.early_stopping); })
      .def_readonly("repetition_penalty", &Options::repetition_penalty)
      .def_readonly("no_repeat_ngram_size", &Options::no_repeat_ngram_size)
      .def_readonly("eos_token_ids", &Options::eos_token_ids);
}

void register_results(py::module_& module) {
  py::class_<Hypothesis>(module, "Hypothesis", "One caption as the search found it.")
      .def_readonly("tokens", &Hypothesis::tokens, "Generated ids, with the EOS that ended them, without the prompt.")
      .def_readonly("score", &Hypothesis::score, "Sum of log-probabilities / (generated tokens)**length_penalty.")
      .def_property_readonly(
          "finish_reason",
          [](const Hypothesis& self) { return self.finish_reason == FinishReason::kEos ? "eos" : "length"; },
          "\"eos\" or \"length\".");
  py::class_<ImageResult>(module, "ImageResult", "What the search found for one image.")
      .def_readonly("hypotheses", &ImageResult::hypotheses, "Best first; empty if there is an error.")
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
      [](Decoder& decoder, std::int64_t images, const std::vector<std::int64_t>& prompt, const Options& options) {
        return search::search(decoder, images, prompt, options);
      },
      py::arg("decoder"), py::arg("images"), py::arg("prompt"), py::arg("options"),
      py::call_guard<py::gil_scoped_release>(),
      "Searches captions for the images of a decoder that has been fed nothing yet; greedy if num_beams is 1, else "
      "beam search. Returns one result an image, in order. Raises ValueError for bad options, RuntimeError if the "
      "decoder breaks its contract, and what the decoder raises.");
}

}  // namespace beamcap::bindings
