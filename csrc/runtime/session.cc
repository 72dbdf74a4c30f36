#include "runtime/session.h"

#include <filesystem>
#include <stdexcept>

#include "runtime/library.h"

namespace beamcap::runtime {
namespace {

template <typename Object, auto Free>
using Handle = std::unique_ptr<Object, Releaser<Free>>;

using SessionOptionsHandle = Handle<ort::OrtSessionOptions, &ort::OrtApi::ReleaseSessionOptions>;
using TypeInfoHandle = Handle<ort::OrtTypeInfo, &ort::OrtApi::ReleaseTypeInfo>;

SessionOptionsHandle make_options(const SessionConfig& config, const std::string& path) {
  ort::OrtSessionOptions* made = nullptr;
  check(api().CreateSessionOptions(&made), path);
  SessionOptionsHandle options(made);
  check(api().SetIntraOpNumThreads(made, config.intra_op_threads), path);
  check(api().SetSessionGraphOptimizationLevel(made, ort::kGraphOptimizationAll), path);
  // A memory plan is made for one set of shapes. The cache grows at every step, so that no plan is used twice.
  check(api().DisableMemPattern(made), path);
  // Idle threads sleep: the cores are shared with decoding, and with the runner's other workers.
  check(api().AddSessionConfigEntry(made, "session.intra_op.allow_spinning", "0"), path);
  return options;
}

std::vector<Dimension> read_shape(const ort::OrtTensorTypeAndShapeInfo* info, const std::string& path) {
  std::size_t rank = 0;
  check(api().GetDimensionsCount(info, &rank), path);
  std::vector<std::int64_t> sizes(rank);
  std::vector<const char*> symbols(rank);
  check(api().GetDimensions(info, sizes.data(), rank), path);
  check(api().GetSymbolicDimensions(info, symbols.data(), rank), path);
  std::vector<Dimension> shape(rank);
  for (std::size_t axis = 0; axis < rank; ++axis) {
    shape[axis] = {sizes[axis] < 0 ? kDynamic : sizes[axis], symbols[axis] == nullptr ? "" : symbols[axis]};
  }
  return shape;
}

// The functions of the table that tell of inputs, or of outputs.
struct Listing {
  ort::OrtStatus* (*count)(const ort::OrtSession*, std::size_t*);
  ort::OrtStatus* (*name)(const ort::OrtSession*, std::size_t, ort::OrtAllocator*, char**);
  ort::OrtStatus* (*type)(const ort::OrtSession*, std::size_t, ort::OrtTypeInfo**);
};

std::string read_name(const ort::OrtSession* session, const Listing& listing, std::size_t index,
                      const std::string& path) {
  ort::OrtAllocator* allocator = nullptr;
  check(api().GetAllocatorWithDefaultOptions(&allocator), path);
  char* text = nullptr;
  check(listing.name(session, index, allocator, &text), path);
  std::string name(text);
  check(api().AllocatorFree(allocator, text), path);
  return name;
}

TensorInfo read_info(const ort::OrtSession* session, const Listing& listing, std::size_t index,
                     const std::string& path) {
  TensorInfo info{read_name(session, listing, index, path), {}, {}};
  ort::OrtTypeInfo* found = nullptr;
  check(listing.type(session, index, &found), path);
  const TypeInfoHandle type_info(found);
  const ort::OrtTensorTypeAndShapeInfo* tensor = nullptr;  // belongs to type_info
  check(api().CastTypeInfoToTensorInfo(found, &tensor), path);
  if (tensor == nullptr) throw std::runtime_error(path + ": " + info.name + " is not a tensor");
  int type = 0;
  check(api().GetTensorElementType(tensor, &type), path);
  info.type = static_cast<ElementType>(type);
  info.shape = read_shape(tensor, path);
  return info;
}

std::vector<TensorInfo> read_infos(const ort::OrtSession* session, const Listing& listing, const std::string& path) {
  std::size_t count = 0;
  check(listing.count(session, &count), path);
  std::vector<TensorInfo> infos;
  for (std::size_t index = 0; index < count; ++index) infos.push_back(read_info(session, listing, index, path));
  return infos;
}

}  // namespace

std::string describe(const TensorInfo& info) {
  std::string text = info.name + " " + type_name(info.type) + " [";
  for (std::size_t axis = 0; axis < info.shape.size(); ++axis) {
    const Dimension& dimension = info.shape[axis];
    if (axis > 0) text += ", ";
    text += !dimension.dynamic() ? std::to_string(dimension.size) : dimension.symbol.empty() ? "?" : dimension.symbol;
  }
  return text + "]";
}

Session::Session(const std::string& path, const SessionConfig& config) : path_(path) {
  if (!std::filesystem::is_regular_file(path)) throw std::runtime_error(path + ": no such file");
  const SessionOptionsHandle options = make_options(config, path);
  ort::OrtSession* made = nullptr;
  check(api().CreateSession(environment(), path.c_str(), options.get(), &made), path);
  session_.reset(made);
  const ort::OrtApi& table = api();
  inputs_ = read_infos(
      made, {table.SessionGetInputCount, table.SessionGetInputName, table.SessionGetInputTypeInfo}, path);
  outputs_ = read_infos(
      made, {table.SessionGetOutputCount, table.SessionGetOutputName, table.SessionGetOutputTypeInfo}, path);
  for (const TensorInfo& input : inputs_) input_names_.push_back(input.name.c_str());
}

std::string Session::file_name() const { return std::filesystem::path(path_).filename().string(); }

std::vector<Tensor> Session::run(std::span<const Tensor* const> inputs, std::span<const std::size_t> outputs) const {
  if (inputs.size() != inputs_.size()) throw std::logic_error(path_ + ": run without all of its inputs");
  std::vector<const ort::OrtValue*> given;
  for (const Tensor* input : inputs) given.push_back(input->value());
  std::vector<const char*> names;
  for (const std::size_t output : outputs) names.push_back(outputs_.at(output).name.c_str());
  std::vector<ort::OrtValue*> made(outputs.size());
  check(api().Run(session_.get(), nullptr, input_names_.data(), given.data(), given.size(), names.data(), names.size(),
                  made.data()),
        path_);
  std::vector<Handle<ort::OrtValue, &ort::OrtApi::ReleaseValue>> owned(made.begin(), made.end());
  std::vector<Tensor> results;
  for (auto& value : owned) {
    results.push_back(Tensor::adopt(value.release(), path_ + ": " + names[results.size()]));
  }
  return results;
}

void Session::Release::operator()(ort::OrtSession* session) const noexcept { api().ReleaseSession(session); }

}  // namespace beamcap::runtime
