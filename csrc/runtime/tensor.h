// A tensor in ONNX Runtime's hands: its own memory, or a view of ours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace beamcap::runtime {

namespace ort {
struct OrtValue;
}

// ONNX's numbers. A graph may declare others; beamcap neither makes nor reads them.
enum class ElementType : int { kFloat32 = 1, kInt32 = 6, kInt64 = 7, kBool = 9, kFloat16 = 10 };

// In bytes. Throws std::runtime_error for a type that beamcap does not use.
std::size_t element_size(ElementType type);

// "float32", "int64", ...; a type that beamcap does not use: "ONNX type 11".
std::string type_name(ElementType type);

using Shape = std::vector<std::int64_t>;

// "[2, 3, 224, 224]"
std::string shape_name(std::span<const std::int64_t> shape);

template <typename Value>
inline constexpr ElementType kTypeOf = ElementType{};
template <>
inline constexpr ElementType kTypeOf<float> = ElementType::kFloat32;
template <>
inline constexpr ElementType kTypeOf<std::int32_t> = ElementType::kInt32;
template <>
inline constexpr ElementType kTypeOf<std::int64_t> = ElementType::kInt64;
template <>
inline constexpr ElementType kTypeOf<bool> = ElementType::kBool;
template <>
inline constexpr ElementType kTypeOf<std::uint16_t> = ElementType::kFloat16;  // the bits of a half

// Dense, row-major. Moves; does not copy. An empty one (default-made) has no shape and no memory.
class Tensor {
 public:
  Tensor() = default;

  // Memory of its own, not initialised.
  static Tensor allocate(ElementType type, Shape shape);
  static Tensor zeros(ElementType type, Shape shape);

  // A view for reading: `values` holds the product of `shape`, and outlives the tensor.
  static Tensor view(std::span<const float> values, Shape shape);

  // Takes over a value that a session made. `subject` names it in an error: a value that is no tensor.
  static Tensor adopt(ort::OrtValue* value, const std::string& subject);

  explicit operator bool() const { return value_ != nullptr; }
  ElementType type() const { return type_; }
  const Shape& shape() const { return shape_; }
  std::size_t size() const { return size_; }
  const ort::OrtValue* value() const { return value_.get(); }

  std::span<const std::byte> bytes() const;
  std::span<std::byte> bytes();

  // The elements as C++ values. Throws std::logic_error if Value is not their type.
  template <typename Value>
  std::span<const Value> values() const {
    require(kTypeOf<Value>);
    return {static_cast<const Value*>(data_), size_};
  }
  template <typename Value>
  std::span<Value> values() {
    require(kTypeOf<Value>);
    return {static_cast<Value*>(data_), size_};
  }

 private:
  struct Release {
    void operator()(ort::OrtValue* value) const noexcept;
  };

  Tensor(ort::OrtValue* value, ElementType type, Shape shape);
  void require(ElementType type) const;

  std::unique_ptr<ort::OrtValue, Release> value_;
  ElementType type_ = ElementType::kFloat32;
  Shape shape_;
  std::size_t size_ = 0;
  void* data_ = nullptr;
};

// The same values as another type: float32 to float16 or back. Throws std::runtime_error for other pairs.
Tensor cast(const Tensor& source, ElementType type);

}  // namespace beamcap::runtime
