// One ONNX graph, loaded and ready to run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/tensor.h"

namespace beamcap::runtime {

namespace ort {
struct OrtSession;
}

inline constexpr std::int64_t kDynamic = -1;

// One axis of an input or output as the graph declares it.
struct Dimension {
  std::int64_t size = kDynamic;
  std::string symbol;  // the name of a dynamic size, e.g. "batch_size"; may be empty

  bool dynamic() const { return size == kDynamic; }
};

// What a graph declares of an input or output. An output's shape may be unknown: it is empty then.
struct TensorInfo {
  std::string name;
  ElementType type = ElementType::kFloat32;
  std::vector<Dimension> shape;
};

// "pixel_values float32 [batch_size, 3, 224, 224]"
std::string describe(const TensorInfo& info);

// How a graph is run. Execution providers will stand here.
struct SessionConfig {
  int intra_op_threads = 1;
};

// Safe to run from several threads at once.
class Session {
 public:
  // Loads a graph from its file; external data files are found beside it. Throws std::runtime_error, naming the file.
  Session(const std::string& path, const SessionConfig& config);

  const std::string& path() const { return path_; }
  std::string file_name() const;
  const std::vector<TensorInfo>& inputs() const { return inputs_; }
  const std::vector<TensorInfo>& outputs() const { return outputs_; }

  // Runs the graph on all of its inputs, in their order, and returns those outputs (indices into outputs()). Throws
  // std::runtime_error, naming the file.
  std::vector<Tensor> run(std::span<const Tensor* const> inputs, std::span<const std::size_t> outputs) const;

 private:
  struct Release {
    void operator()(ort::OrtSession* session) const noexcept;
  };

  std::string path_;
  std::unique_ptr<ort::OrtSession, Release> session_;
  std::vector<TensorInfo> inputs_;
  std::vector<TensorInfo> outputs_;
  std::vector<const char*> input_names_;  // of inputs_, as run() passes them
};

}  // namespace beamcap::runtime
