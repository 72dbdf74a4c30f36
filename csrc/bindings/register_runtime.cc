#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bindings/register.h"
#include "runtime/library.h"
#include "runtime/meaning.h"
#include "runtime/model.h"

namespace py = pybind11;

namespace beamcap::bindings {
namespace {

using runtime::BundleFiles;
using runtime::Dimension;
using runtime::Encoded;
using runtime::Generated;
using runtime::Graph;
using runtime::Graphs;
using runtime::Meaning;
using runtime::Model;
using runtime::Port;
using runtime::Tensor;
using runtime::TensorInfo;

std::unique_ptr<Model> load_model(const std::string& encoder, const std::string& decoder,
                                  const std::optional<std::string>& decoder_with_past, int intra_op_threads) {
  const py::gil_scoped_release release;
  return std::make_unique<Model>(BundleFiles{encoder, decoder, decoder_with_past},
                                 runtime::SessionConfig{intra_op_threads});
}

// A view of the caller's pixels: float32 [images, 3, height, width], C-contiguous.
Tensor view_pixels(const py::array& pixels) {
  if (!py::isinstance<py::array_t<float>>(pixels)) {
    throw std::invalid_argument("pixel_values must be float32, not " + py::str(pixels.dtype()).cast<std::string>());
  }
  if ((pixels.flags() & py::array::c_style) == 0) {
    throw std::invalid_argument("pixel_values must be C-contiguous: see numpy.ascontiguousarray");
  }
  if (reinterpret_cast<std::uintptr_t>(pixels.data()) % alignof(float) != 0) {
    throw std::invalid_argument("pixel_values must be aligned in memory: see numpy.require");
  }
  return Tensor::view({static_cast<const float*>(pixels.data()), static_cast<std::size_t>(pixels.size())},
                      {pixels.shape(), pixels.shape() + pixels.ndim()});
}

Generated generate(const Model& model, const py::array& pixel_values, const std::vector<std::int64_t>& prompt,
                   const search::Options& options, const std::optional<std::vector<std::uint64_t>>& image_seeds) {
  const Tensor pixels = view_pixels(pixel_values);
  const py::gil_scoped_release release;
  return model.generate(pixels, prompt, options, image_seeds.value_or(std::vector<std::uint64_t>{}));
}

// The encoder's outputs by the name of the state that each begins, as float32.
py::dict encode(const Model& model, const py::array& pixel_values) {
  const Tensor pixels = view_pixels(pixel_values);
  Encoded encoded;
  {
    const py::gil_scoped_release release;
    encoded = model.encode(pixels);
  }
  py::dict states;
  for (std::size_t i = 0; i < encoded.states.size(); ++i) {
    if (!encoded.states[i]) continue;
    const bool half = encoded.states[i].type() == runtime::ElementType::kFloat16;
    const Tensor values = half ? cast(encoded.states[i], runtime::ElementType::kFloat32) : std::move(encoded.states[i]);
    states[py::str(model.graphs().states[i].name)] =
        py::array_t<float>(values.shape(), values.values<float>().data());
  }
  return states;
}

py::object size_of(const Dimension& dimension) {
  if (!dimension.dynamic()) return py::int_(dimension.size);
  return dimension.symbol.empty() ? py::object(py::none()) : py::object(py::str(dimension.symbol));
}

py::list describe_ports(const Graphs& graphs, const std::vector<TensorInfo>& infos, const std::vector<Port>& ports) {
  py::list described;
  for (std::size_t i = 0; i < infos.size(); ++i) {
    std::string meaning(meaning_name(ports[i].meaning));
    if (ports[i].meaning == Meaning::kState) meaning += " " + graphs.states[ports[i].state].name;
    py::list shape;
    for (const Dimension& dimension : infos[i].shape) shape.append(size_of(dimension));
    py::dict port;
    port["name"] = infos[i].name;
    port["meaning"] = meaning;
    port["type"] = type_name(infos[i].type);
    port["shape"] = shape;
    described.append(port);
  }
  return described;
}

py::dict describe_graph(const Graphs& graphs, const std::string& role, const Graph& graph) {
  py::dict described;
  described["role"] = role;
  described["path"] = graph.session.path();
  described["inputs"] = describe_ports(graphs, graph.session.inputs(), graph.inputs);
  described["outputs"] = describe_ports(graphs, graph.session.outputs(), graph.outputs);
  return described;
}

py::list describe(const Model& model) {
  const Graphs& graphs = model.graphs();
  py::list described;
  described.append(describe_graph(graphs, "encode", graphs.encoder));
  if (graphs.decoder_with_past) {
    described.append(describe_graph(graphs, "first step", graphs.decoder));
    described.append(describe_graph(graphs, "later steps", *graphs.decoder_with_past));
  } else {
    described.append(describe_graph(graphs, graphs.cached ? "step" : "step without a cache", graphs.decoder));
  }
  return described;
}

py::tuple pixel_shape(const Model& model) {
  const std::vector<Dimension>& shape = model.graphs().encoder.session.inputs().front().shape;
  const auto fixed = [&shape](std::size_t axis) {
    return shape[axis].dynamic() ? py::object(py::none()) : py::object(py::int_(shape[axis].size));
  };
  return py::make_tuple(3, fixed(2), fixed(3));
}

}  // namespace

void register_runtime(py::module_& module) {
  module.def("load_onnxruntime", &runtime::load_library, py::arg("library_path"),
             py::call_guard<py::gil_scoped_release>(),
             "Loads ONNX Runtime's shared library, once a process, and returns its version.\n\n"
             "Raises:\n"
             "    RuntimeError: it cannot be loaded, is too old, or another one is loaded already.");

  py::class_<Generated>(module, "Generated", "What a search made of a batch, and what it took.")
      .def_readonly("results", &Generated::results, "One ImageResult an image, in order.")
      .def_readonly("encode_ms", &Generated::encode_ms)
      .def_readonly("search_ms", &Generated::search_ms)
      .def_readonly("steps", &Generated::steps, "Runs of the decoder.");

  py::class_<Model>(module, "Model",
                    "A bundle's graphs, loaded. Safe to use from several threads at once; long calls drop the GIL.\n\n"
                    "Raises:\n"
                    "    RuntimeError: a graph cannot be loaded (the message names the file), or the graphs do not\n"
                    "        fit together (it lists what was found and what was expected).\n"
                    "    ValueError: intra_op_threads is not positive.")
      .def(py::init(&load_model), py::arg("encoder"), py::arg("decoder"), py::arg("decoder_with_past"), py::kw_only(),
           py::arg("intra_op_threads"))
      .def_property_readonly(
          "vocab_size", [](const Model& model) { return model.graphs().vocab; },
          "Scores that the decoder gives a row; None if the graph leaves it open.")
      .def_property_readonly("pixel_shape", &pixel_shape, "(3, height, width); None where the graph leaves it open.")
      .def("describe", &describe,
           "For each graph: role, path, inputs and outputs; for each of these: name, meaning, type, shape (sizes,\n"
           "names of dynamic sizes, or None).")
      .def("encode", &encode, py::arg("pixel_values"),
           "Runs the encoder alone.\n\n"
           "Args:\n"
           "    pixel_values: float32 [N, 3, H, W], C-contiguous, N >= 1.\n\n"
           "Returns: what it gives the decoder, as float32 by name: encoder_hidden_states is [N, length, width].\n\n"
           "Raises:\n"
           "    ValueError: the pixels have another type or shape.\n"
           "    RuntimeError: the graph fails; the message names its file.")
      .def("generate", &generate, py::arg("pixel_values"), py::arg("prompt"), py::arg("options"),
           py::arg("image_seeds") = py::none(),
           "Encodes a batch and searches its captions.\n\n"
           "Args:\n"
           "    pixel_values: float32 [N, 3, H, W], C-contiguous, N >= 1.\n"
           "    prompt: ids to start from, the start token first.\n"
           "    options: how to search.\n"
           "    image_seeds: what each image's random numbers come from, one an image; with do_sample only.\n\n"
           "Raises:\n"
           "    ValueError: the pixels have another type or shape, the prompt is empty or not in the vocabulary, or\n"
           "        the options do not fit the model or the seeds not the images.\n"
           "    RuntimeError: a graph fails; the message names its file.");
}

}  // namespace beamcap::bindings
