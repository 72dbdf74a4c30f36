#include "runtime/session.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "ort_fixture.h"
#include "runtime/tensor.h"

namespace beamcap::runtime {
namespace {

using SessionTest = beamcap::testing::WithOnnxRuntime;
using TensorTest = beamcap::testing::WithOnnxRuntime;

TEST_F(TensorTest, IsMemoryOfItsOwn) {
  Tensor tensor = Tensor::zeros(ElementType::kInt64, {2, 3});
  EXPECT_EQ(tensor.shape(), (Shape{2, 3}));
  EXPECT_EQ(tensor.bytes().size(), 48u);
  for (const std::int64_t value : tensor.values<std::int64_t>()) EXPECT_EQ(value, 0);
  EXPECT_THROW(tensor.values<float>(), std::logic_error);
}

TEST_F(TensorTest, IsAViewOfOurs) {
  const std::array<float, 6> values = {1, 2, 3, 4, 5, 6};
  const Tensor tensor = Tensor::view(values, {3, 2});
  EXPECT_EQ(tensor.values<float>().data(), values.data());
  EXPECT_THROW(Tensor::view(values, {3, 3}), std::invalid_argument);
}

TEST_F(TensorTest, MayBeEmpty) {
  const Tensor tensor = Tensor::zeros(ElementType::kFloat16, {2, 0, 4});
  EXPECT_TRUE(tensor);
  EXPECT_EQ(tensor.size(), 0u);
  EXPECT_FALSE(Tensor());
}

TEST_F(TensorTest, RefusesImpossibleShapes) {
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  EXPECT_THROW(Tensor::zeros(ElementType::kFloat32, {kHuge, kHuge}), std::runtime_error);
  EXPECT_THROW(Tensor::zeros(ElementType::kFloat32, {kHuge}), std::runtime_error);
  EXPECT_THROW(Tensor::zeros(ElementType::kFloat32, {2, -1}), std::runtime_error);
  EXPECT_THROW(Tensor::zeros(static_cast<ElementType>(8), {2}), std::runtime_error);
}

TEST_F(TensorTest, ConvertsBetweenFloats) {
  const std::array<float, 3> values = {1.5f, -2.0f, 65504.0f};
  const Tensor halves = cast(Tensor::view(values, {3}), ElementType::kFloat16);
  EXPECT_EQ(halves.type(), ElementType::kFloat16);
  const Tensor floats = cast(halves, ElementType::kFloat32);
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(floats.values<float>()[i], values[i]);
  EXPECT_THROW(cast(floats, ElementType::kInt64), std::runtime_error);
}

TEST_F(SessionTest, TellsItsInputsAndOutputs) {
  const Session session(beamcap::testing::tiny("split/decoder_model.onnx"), {});
  EXPECT_EQ(session.file_name(), "decoder_model.onnx");
  ASSERT_EQ(session.inputs().size(), 2u);
  EXPECT_EQ(describe(session.inputs()[0]), "input_ids int64 [batch_size, sequence_length]");
  EXPECT_EQ(describe(session.inputs()[1]), "encoder_hidden_states float32 [batch_size, encoder_sequence_length, 8]");
  ASSERT_EQ(session.outputs().size(), 5u);
  EXPECT_EQ(session.outputs()[0].name, "logits");
  EXPECT_TRUE(session.outputs()[0].shape[1].dynamic());
  EXPECT_EQ(session.outputs()[0].shape[2].size, 13);
}

TEST_F(SessionTest, RunsWhatIsAskedFor) {
  const Session session(beamcap::testing::tiny("split/encoder_model.onnx"), {});
  const std::vector<float> zeros(2 * 3 * 4 * 4);
  const Tensor pixels = Tensor::view(zeros, {2, 3, 4, 4});
  const Tensor* const inputs[] = {&pixels};
  const std::size_t outputs[] = {0};
  const std::vector<Tensor> made = session.run(inputs, outputs);
  ASSERT_EQ(made.size(), 1u);
  EXPECT_EQ(made[0].shape(), (Shape{2, 4, 8}));
  for (const float value : made[0].values<float>()) EXPECT_EQ(value, 0.0f);
}

TEST_F(SessionTest, RefusesToRunWithoutAnInput) {
  const Session session(beamcap::testing::tiny("split/encoder_model.onnx"), {});
  EXPECT_THROW(session.run({}, {}), std::logic_error);
}

TEST_F(SessionTest, NamesTheFileThatItCannotLoad) {
  for (const char* const file : {"split/no_such_model.onnx", "external/weights.bin", "split"}) {
    const std::string path = beamcap::testing::tiny(file);
    try {
      const Session session(path, {});
      FAIL() << path;
    } catch (const std::runtime_error& error) {
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace beamcap::runtime
