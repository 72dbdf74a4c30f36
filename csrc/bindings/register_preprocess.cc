#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bindings/register.h"
#include "preprocess/image_batch.h"
#include "preprocess/recipe.h"
#include "preprocess/resize.h"

namespace beamcap::bindings {
namespace {

namespace py = pybind11;
using preprocess::Filter;
using preprocess::ImageView;
using preprocess::PassOrder;
using preprocess::Recipe;
using preprocess::Size;
using SizePair = std::pair<std::int64_t, std::int64_t>;

constexpr std::pair<const char*, PassOrder> kPassOrders[] = {
    {"horizontal_first", PassOrder::kHorizontalFirst},
    {"pillow_12", PassOrder::kPillow12},
    {"pillow_13", PassOrder::kPillow13},
};

Filter filter_of(int code) {
  if (code < 0 || code > 5) {
    throw py::value_error("resample must be 0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box or 5 hamming, got " +
                          std::to_string(code));
  }
  return static_cast<Filter>(code);
}

PassOrder pass_order_of(const std::string& name) {
  std::string allowed;
  for (const auto& [known, order] : kPassOrders) {
    if (name == known) {
      return order;
    }
    allowed += std::string(allowed.empty() ? "'" : ", '") + known + "'";
  }
  throw py::value_error("pass_order must be one of " + allowed + ", got '" + name + "'");
}

const char* name_of(PassOrder pass_order) {
  for (const auto& [name, order] : kPassOrders) {
    if (order == pass_order) {
      return name;
    }
  }
  return "unknown";
}

std::optional<Size> size_of(const std::optional<SizePair>& pair) {
  return pair ? std::optional<Size>({pair->first, pair->second}) : std::nullopt;
}

std::optional<SizePair> pair_of(const std::optional<Size>& size) {
  return size ? std::optional<SizePair>({size->height, size->width}) : std::nullopt;
}

std::string shape_of(const py::array& array) {
  return py::str(array.attr("shape")).cast<std::string>() + " of " + py::str(array.dtype()).cast<std::string>();
}

// The view is valid while `image` is.
ImageView view_of(const py::array& image) {
  if (!py::isinstance<py::array_t<std::uint8_t>>(image) || image.ndim() != 3 || image.shape(2) != 3) {
    throw py::value_error("an image must be an array of shape (height, width, 3) and dtype uint8, got " +
                          shape_of(image));
  }
  if ((image.flags() & py::array::c_style) == 0) {
    throw py::value_error("an image must be C-contiguous: pass it through numpy.ascontiguousarray");
  }
  return {static_cast<const std::uint8_t*>(image.data()), {image.shape(0), image.shape(1)}};
}

Recipe make_recipe(const std::optional<SizePair>& size, std::optional<std::int64_t> shortest_edge,
                   const std::optional<SizePair>& crop_size, int resample, const std::string& pass_order,
                   double rescale_factor, const std::array<double, 3>& image_mean,
                   const std::array<double, 3>& image_std) {
  Recipe recipe = {size_of(size),          shortest_edge,  size_of(crop_size), filter_of(resample),
                   pass_order_of(pass_order), rescale_factor, image_mean,         image_std};
  recipe.validate();
  return recipe;
}

py::array_t<float> preprocess_list(const std::vector<py::array>& images, const Recipe& recipe, int threads) {
  std::vector<ImageView> views;
  views.reserve(images.size());
  for (const py::array& image : images) {
    views.push_back(view_of(image));
    views.back().validate();
  }
  const Size size = preprocess::common_output_size(recipe, views);
  py::array_t<float> out({static_cast<py::ssize_t>(views.size()), py::ssize_t{3}, py::ssize_t{size.height},
                          py::ssize_t{size.width}});
  const std::span<float> floats(out.mutable_data(), static_cast<std::size_t>(out.size()));
  const py::gil_scoped_release release;
  preprocess::preprocess_batch(views, recipe, threads, floats);
  return out;
}

void preprocess_into(const py::array& image, const Recipe& recipe, py::array out) {
  const ImageView view = view_of(image);
  view.validate();
  const Size size = recipe.output_size(view.size);
  if (!py::isinstance<py::array_t<float>>(out) || out.ndim() != 3 || out.shape(0) != 3 ||
      out.shape(1) != size.height || out.shape(2) != size.width) {
    throw py::value_error("out must be an array of shape (3, " + std::to_string(size.height) + ", " +
                          std::to_string(size.width) + ") and dtype float32, got " + shape_of(out));
  }
  const bool aligned = reinterpret_cast<std::uintptr_t>(out.data()) % alignof(float) == 0;
  if ((out.flags() & py::array::c_style) == 0 || !out.writeable() || !aligned) {
    throw py::value_error("out must be C-contiguous, aligned and writeable");
  }
  const std::span<float> floats(static_cast<float*>(out.mutable_data()), static_cast<std::size_t>(out.size()));
  const py::gil_scoped_release release;
  preprocess::preprocess_image(view, recipe, floats);
}

py::array_t<std::uint8_t> resize(const py::array& image, std::int64_t height, std::int64_t width, int resample,
                                 const std::string& pass_order) {
  const ImageView view = view_of(image);
  const Filter filter = filter_of(resample);
  const PassOrder order = pass_order_of(pass_order);
  std::vector<std::uint8_t> pixels;
  {
    const py::gil_scoped_release release;
    pixels = preprocess::resize(view, {height, width}, filter, order);
  }
  return py::array_t<std::uint8_t>({py::ssize_t{height}, py::ssize_t{width}, py::ssize_t{3}}, pixels.data());
}

}  // namespace

void register_preprocess(py::module_& module) {
  py::class_<Recipe>(module, "Recipe",
                     "How an image becomes the encoder's input: resize, centre crop, rescale, normalise.")
      .def(py::init(&make_recipe), py::kw_only(), py::arg("size") = py::none(), py::arg("shortest_edge") = py::none(),
           py::arg("crop_size") = py::none(), py::arg("resample") = 2, py::arg("pass_order") = "horizontal_first",
           py::arg("rescale_factor") = 1.0 / 255.0, py::arg("image_mean") = std::array<double, 3>{0, 0, 0},
           py::arg("image_std") = std::array<double, 3>{1, 1, 1})
      .def_property_readonly("size", [](const Recipe& r) { return pair_of(r.size); })
      .def_readonly("shortest_edge", &Recipe::shortest_edge)
      .def_property_readonly("crop_size", [](const Recipe& r) { return pair_of(r.crop_size); })
      .def_property_readonly("resample", [](const Recipe& r) { return static_cast<int>(r.resample); })
      .def_property_readonly("pass_order", [](const Recipe& r) { return name_of(r.pass_order); })
      .def_readonly("rescale_factor", &Recipe::rescale_factor)
      .def_readonly("image_mean", &Recipe::image_mean)
      .def_readonly("image_std", &Recipe::image_std)
      .def("output_size", [](const Recipe& r, std::int64_t height, std::int64_t width) {
        const ImageView image = {nullptr, {height, width}};
        image.validate();
        const Size size = r.output_size(image.size);
        return SizePair{size.height, size.width};
      }, py::arg("height"), py::arg("width"), "(height, width) of the output for an image of this size.");
  module.def("preprocess", &preprocess_list, py::arg("images"), py::arg("recipe"), py::arg("threads") = 1,
             "Images, uint8 [height, width, 3] of any sizes, to float32 [N, 3, H, W].");
  module.def("preprocess_into", &preprocess_into, py::arg("image"), py::arg("recipe"), py::arg("out"),
             "One image, uint8 [height, width, 3], into out, float32 [3, H, W].");
  module.def("resize", &resize, py::arg("image"), py::arg("height"), py::arg("width"), py::arg("resample"),
             py::arg("pass_order") = "horizontal_first",
             "uint8 [height, width, 3], byte for byte as Pillow's Image.resize.");
}

}  // namespace beamcap::bindings
