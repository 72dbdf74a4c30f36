#include "runtime/tensor.h"

#include <algorithm>
#include <utility>

#include "common/half.h"
#include "runtime/library.h"

namespace beamcap::runtime {
namespace {

const std::string kSubject = "tensor";

// The product of the sizes; throws where it would not fit, before anything is allocated by it.
std::size_t element_count(std::span<const std::int64_t> shape, std::size_t bytes_each) {
  std::size_t bytes = bytes_each;
  for (const std::int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, static_cast<std::size_t>(size), &bytes)) {
      throw std::runtime_error("no tensor can have the shape " + shape_name(shape));
    }
  }
  return bytes / bytes_each;
}

Shape shape_of(const ort::OrtTensorTypeAndShapeInfo* info, const std::string& subject) {
  std::size_t rank = 0;
  check(api().GetDimensionsCount(info, &rank), subject);
  Shape shape(rank);
  check(api().GetDimensions(info, shape.data(), rank), subject);
  return shape;
}

ort::OrtMemoryInfo* cpu_memory() {
  // As long-lived as the environment.
  static ort::OrtMemoryInfo* const info = [] {
    ort::OrtMemoryInfo* made = nullptr;
    check(api().CreateCpuMemoryInfo(ort::kDeviceAllocator, ort::kMemTypeDefault, &made), kSubject);
    return made;
  }();
  return info;
}

}  // namespace

std::size_t element_size(ElementType type) {
  switch (type) {
    case ElementType::kFloat32:
    case ElementType::kInt32:
      return 4;
    case ElementType::kInt64:
      return 8;
    case ElementType::kBool:
      return 1;
    case ElementType::kFloat16:
      return 2;
  }
  throw std::runtime_error("a tensor of " + type_name(type) + " is not supported");
}

std::string type_name(ElementType type) {
  switch (type) {
    case ElementType::kFloat32:
      return "float32";
    case ElementType::kInt32:
      return "int32";
    case ElementType::kInt64:
      return "int64";
    case ElementType::kBool:
      return "bool";
    case ElementType::kFloat16:
      return "float16";
  }
  return "ONNX type " + std::to_string(static_cast<int>(type));
}

std::string shape_name(std::span<const std::int64_t> shape) {
  std::string name = "[";
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    name += (axis == 0 ? "" : ", ") + std::to_string(shape[axis]);
  }
  return name + "]";
}

Tensor Tensor::allocate(ElementType type, Shape shape) {
  element_count(shape, element_size(type));
  ort::OrtAllocator* allocator = nullptr;
  check(api().GetAllocatorWithDefaultOptions(&allocator), kSubject);
  ort::OrtValue* value = nullptr;
  check(api().CreateTensorAsOrtValue(allocator, shape.data(), shape.size(), static_cast<int>(type), &value), kSubject);
  return {value, type, std::move(shape)};
}

Tensor Tensor::zeros(ElementType type, Shape shape) {
  Tensor made = allocate(type, std::move(shape));
  std::ranges::fill(made.bytes(), std::byte{0});
  return made;
}

Tensor Tensor::view(std::span<const float> values, Shape shape) {
  if (element_count(shape, sizeof(float)) != values.size()) {
    throw std::invalid_argument(std::to_string(values.size()) + " values do not have the shape " + shape_name(shape));
  }
  // The ABI has one function for views to read and views to write; a session only reads its inputs.
  void* const data = const_cast<float*>(values.data());
  ort::OrtValue* value = nullptr;
  check(api().CreateTensorWithDataAsOrtValue(cpu_memory(), data, values.size_bytes(), shape.data(), shape.size(),
                                             static_cast<int>(ElementType::kFloat32), &value),
        kSubject);
  return {value, ElementType::kFloat32, std::move(shape)};
}

Tensor Tensor::adopt(ort::OrtValue* value, const std::string& subject) {
  std::unique_ptr<ort::OrtValue, Release> owned(value);
  ort::OrtTensorTypeAndShapeInfo* found = nullptr;
  check(api().GetTensorTypeAndShape(value, &found), subject);
  const std::unique_ptr<ort::OrtTensorTypeAndShapeInfo, Releaser<&ort::OrtApi::ReleaseTensorTypeAndShapeInfo>> info(
      found);
  int type = 0;
  check(api().GetTensorElementType(info.get(), &type), subject);
  Shape shape = shape_of(info.get(), subject);
  return {owned.release(), static_cast<ElementType>(type), std::move(shape)};
}

Tensor::Tensor(ort::OrtValue* value, ElementType type, Shape shape)
    : value_(value), type_(type), shape_(std::move(shape)), size_(element_count(shape_, element_size(type))) {
  check(api().GetTensorMutableData(value, &data_), kSubject);
}

void Tensor::Release::operator()(ort::OrtValue* value) const noexcept { api().ReleaseValue(value); }

std::span<const std::byte> Tensor::bytes() const {
  return {static_cast<const std::byte*>(data_), size_ * element_size(type_)};
}

std::span<std::byte> Tensor::bytes() { return {static_cast<std::byte*>(data_), size_ * element_size(type_)}; }

void Tensor::require(ElementType type) const {
  if (type != type_) throw std::logic_error("a tensor of " + type_name(type_) + " read as " + type_name(type));
}

Tensor cast(const Tensor& source, ElementType type) {
  Tensor made = Tensor::allocate(type, source.shape());
  if (source.type() == ElementType::kFloat32 && type == ElementType::kFloat16) {
    std::ranges::transform(source.values<float>(), made.values<std::uint16_t>().begin(), half_from_float);
  } else if (source.type() == ElementType::kFloat16 && type == ElementType::kFloat32) {
    std::ranges::transform(source.values<std::uint16_t>(), made.values<float>().begin(), float_from_half);
  } else {
    throw std::runtime_error("no conversion from " + type_name(source.type()) + " to " + type_name(type));
  }
  return made;
}

}  // namespace beamcap::runtime
