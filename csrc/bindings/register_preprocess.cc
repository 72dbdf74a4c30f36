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
using preprocess::Padding;
using preprocess::PassOrder;
using preprocess::Recipe;
using preprocess::Size;
using SizePair = std::pair<std::int64_t, std::int64_t>;

constexpr std::pair<const char*, PassOrder> kPassOrders[] = {
    {"horizontal_first", PassOrder::kHorizontalFirst},
    {"pillow_12", PassOrder::kPillow12},
    {"pillow_13", PassOrder::kPillow13},
};

constexpr std::pair<const char*, Padding> kPaddings[] = {
    {"after", Padding::kAfter},
    {"around", Padding::kAround},
};

Filter filter_of(int code) {
  if (code < 0 || code > 5) {
    throw py::value_error("resample must be 0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box or 5 hamming, got " +
                          std::to_string(code));
  }
  return static_cast<Filter>(code);
}

// The value that `field` names, of a table as above.
template <typename Value, std::size_t kCount>
Value value_of(const char* field, const std::string& name, const std::pair<const char*, Value> (&table)[kCount]) {
  std::string allowed;
  for (const auto& [known, value] : table) {
    if (name == known) {
      return value;
    }
    allowed += std::string(allowed.empty() ? "'" : ", '") + known + "'";
  }
  throw py::value_error(std::string(field) + " must be one of " + allowed + ", got '" + name + "'");
}

template <typename Value, std::size_t kCount>
const char* name_of(Value value, const std::pair<const char*, Value> (&table)[kCount]) {
  for (const auto& [name, known] : table) {
    if (known == value) {
      return name;
    }
  }
  return "unknown";
}

PassOrder pass_order_of(const std::string& name) { return value_of("pass_order", name, kPassOrders); }

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
                   std::optional<std::int64_t> longest_edge, const std::optional<SizePair>& max_size,
                   const std::optional<SizePair>& thumbnail, const std::optional<SizePair>& crop_size,
                   const std::optional<SizePair>& pad_size, const std::string& padding, int resample,
                   const std::string& pass_order, double rescale_factor, const std::array<double, 3>& image_mean,
                   const std::array<double, 3>& image_std) {
  Recipe recipe;
  recipe.size = size_of(size);
  recipe.shortest_edge = shortest_edge;
  recipe.longest_edge = longest_edge;
  recipe.max_size = size_of(max_size);
  recipe.thumbnail = size_of(thumbnail);
  recipe.crop_size = size_of(crop_size);
  recipe.pad_size = size_of(pad_size);
  recipe.padding = value_of("padding", padding, kPaddings);
  recipe.resample = filter_of(resample);
  recipe.pass_order = pass_order_of(pass_order);
  recipe.rescale_factor = rescale_factor;
  recipe.image_mean = image_mean;
  recipe.image_std = image_std;
  recipe.validate();
  return recipe;
}

bool is_half(const py::dtype& dtype) { return dtype.equal(py::dtype("float16")); }

template <typename Value>
std::span<Value> values_of(py::array& array) {
  return {static_cast<Value*>(array.mutable_data()), static_cast<std::size_t>(array.size())};
}

py::array preprocess_list(const std::vector<py::array>& images, const Recipe& recipe, int threads,
                          const py::object& dtype) {
  const py::dtype type = py::dtype::from_args(dtype);
  if (!is_half(type) && !type.equal(py::dtype::of<float>())) {
    throw py::value_error("dtype must be float32 or float16, got " + py::str(type).cast<std::string>());
  }
  std::vector<ImageView> views;
  views.reserve(images.size());
  for (const py::array& image : images) {
    views.push_back(view_of(image));
    views.back().validate();
  }
  const Size size = preprocess::common_output_size(recipe, views);
  py::array out(type, {static_cast<py::ssize_t>(views.size()), py::ssize_t{3}, py::ssize_t{size.height},
                       py::ssize_t{size.width}});
  const auto fill = [&](auto values) {
    const py::gil_scoped_release release;
    preprocess::preprocess_batch(views, recipe, threads, values);
  };
  is_half(type) ? fill(values_of<std::uint16_t>(out)) : fill(values_of<float>(out));
  return out;
}

void preprocess_into(const py::array& image, const Recipe& recipe, py::array out) {
  const ImageView view = view_of(image);
  view.validate();
  const Size size = recipe.output_size(view.size);
  const bool half = is_half(out.dtype());
  if (!(half || py::isinstance<py::array_t<float>>(out)) || out.ndim() != 3 || out.shape(0) != 3 ||
      out.shape(1) != size.height || out.shape(2) != size.width) {
    throw py::value_error("out must be an array of shape (3, " + std::to_string(size.height) + ", " +
                          std::to_string(size.width) + ") and dtype float32 or float16, got " + shape_of(out));
  }
  const bool aligned =
      reinterpret_cast<std::uintptr_t>(out.data()) % (half ? alignof(std::uint16_t) : alignof(float)) == 0;
  if ((out.flags() & py::array::c_style) == 0 || !out.writeable() || !aligned) {
    throw py::value_error("out must be C-contiguous, aligned and writeable");
  }
  const auto fill = [&](auto values) {
    const py::gil_scoped_release release;
    preprocess::preprocess_image(view, recipe, values);
  };
  half ? fill(values_of<std::uint16_t>(out)) : fill(values_of<float>(out));
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
                     "How an image becomes the encoder's input: resize, centre crop, rescale, normalise, pad.")
      .def(py::init(&make_recipe), py::kw_only(), py::arg("size") = py::none(), py::arg("shortest_edge") = py::none(),
           py::arg("longest_edge") = py::none(), py::arg("max_size") = py::none(), py::arg("thumbnail") = py::none(),
           py::arg("crop_size") = py::none(), py::arg("pad_size") = py::none(), py::arg("padding") = "after",
           py::arg("resample") = 2, py::arg("pass_order") = "horizontal_first",
           py::arg("rescale_factor") = 1.0 / 255.0, py::arg("image_mean") = std::array<double, 3>{0, 0, 0},
           py::arg("image_std") = std::array<double, 3>{1, 1, 1})
      .def_property_readonly("size", [](const Recipe& r) { return pair_of(r.size); })
      .def_readonly("shortest_edge", &Recipe::shortest_edge)
      .def_readonly("longest_edge", &Recipe::longest_edge)
      .def_property_readonly("max_size", [](const Recipe& r) { return pair_of(r.max_size); })
      .def_property_readonly("thumbnail", [](const Recipe& r) { return pair_of(r.thumbnail); })
      .def_property_readonly("crop_size", [](const Recipe& r) { return pair_of(r.crop_size); })
      .def_property_readonly("pad_size", [](const Recipe& r) { return pair_of(r.pad_size); })
      .def_property_readonly("padding", [](const Recipe& r) { return name_of(r.padding, kPaddings); })
      .def_property_readonly("resample", [](const Recipe& r) { return static_cast<int>(r.resample); })
      .def_property_readonly("pass_order", [](const Recipe& r) { return name_of(r.pass_order, kPassOrders); })
      .def_readonly("rescale_factor", &Recipe::rescale_factor)
      .def_readonly("image_mean", &Recipe::image_mean)
      .def_readonly("image_std", &Recipe::image_std)
      .def_property_readonly("fixed_size", [](const Recipe& r) { return pair_of(r.fixed_size()); },
                             "(height, width) of every output; None if it depends on the image.")
      .def("output_size", [](const Recipe& r, std::int64_t height, std::int64_t width) {
        const ImageView image = {nullptr, {height, width}};
        image.validate();
        const Size size = r.output_size(image.size);
        return SizePair{size.height, size.width};
      }, py::arg("height"), py::arg("width"), "(height, width) of the output for an image of this size.");
  module.def("preprocess", &preprocess_list, py::arg("images"), py::arg("recipe"), py::arg("threads") = 1,
             py::arg("dtype") = "float32", "Images, uint8 [height, width, 3] of any sizes, to [N, 3, H, W].");
  module.def("preprocess_into", &preprocess_into, py::arg("image"), py::arg("recipe"), py::arg("out"),
             "One image, uint8 [height, width, 3], into out, float32 or float16 [3, H, W].");
  module.def("resize", &resize, py::arg("image"), py::arg("height"), py::arg("width"), py::arg("resample"),
             py::arg("pass_order") = "horizontal_first",
             "uint8 [height, width, 3], byte for byte as Pillow's Image.resize.");
}

}  // namespace beamcap::bindings
