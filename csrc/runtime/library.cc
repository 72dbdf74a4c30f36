#include "runtime/library.h"

#include <dlfcn.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <stdexcept>

namespace beamcap::runtime {
namespace {

// Loaded once and never unloaded: its thread pools must not outlive their code, and the order in which a process tears
// down its statics is no place to depend on.
struct Library {
  void* handle = nullptr;
  std::string path;
  std::string version;
  const ort::OrtApi* api = nullptr;
  ort::OrtEnv* environment = nullptr;
};

std::mutex loading;
Library loaded;                            // guarded by `loading`; constant once published
std::atomic<const Library*> published{};  // what api() reads without the lock

struct Close {
  void operator()(void* handle) const noexcept { dlclose(handle); }
};

const ort::OrtApiBase& api_base(void* handle, const std::string& path) {
  void* const symbol = dlsym(handle, "OrtGetApiBase");
  if (symbol == nullptr) throw std::runtime_error(path + " is not ONNX Runtime: it has no OrtGetApiBase");
  return *reinterpret_cast<ort::OrtGetApiBase>(symbol)();
}

void check_with(const ort::OrtApi& table, ort::OrtStatus* status, const std::string& subject) {
  if (status == nullptr) return;
  const std::string message = table.GetErrorMessage(status);
  table.ReleaseStatus(status);
  throw std::runtime_error(subject + ": " + message);
}

const Library& library() {
  const Library* const found = published.load(std::memory_order_acquire);
  if (found == nullptr) throw std::runtime_error("ONNX Runtime is not loaded: call load_onnxruntime() first");
  return *found;
}

}  // namespace

std::string load_library(const std::string& path) {
  const std::lock_guard<std::mutex> guard(loading);
  // RTLD_LOCAL: its symbols must not meet those of another copy in the process.
  std::unique_ptr<void, Close> handle(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (handle == nullptr) throw std::runtime_error(std::string("cannot load ONNX Runtime: ") + dlerror());
  if (handle.get() == loaded.handle) return loaded.version;
  const ort::OrtApiBase& base = api_base(handle.get(), path);
  Library candidate{nullptr, path, base.GetVersionString(), base.GetApi(ort::kApiVersion), nullptr};
  if (candidate.api == nullptr) {
    throw std::runtime_error(path + " is ONNX Runtime " + candidate.version + ": beamcap needs 1." +
                             std::to_string(ort::kApiVersion) + " or newer");
  }
  if (loaded.handle != nullptr) {
    throw std::runtime_error("cannot load ONNX Runtime from " + path + ": this process already uses " + loaded.path +
                             " (version " + loaded.version + ")");
  }
  const ort::OrtApi& table = *candidate.api;
  check_with(table, table.CreateEnv(ort::kLoggingLevelError, "beamcap", &candidate.environment), path);
  candidate.handle = handle.release();
  loaded = std::move(candidate);
  published.store(&loaded, std::memory_order_release);
  return loaded.version;
}

const ort::OrtApi& api() { return *library().api; }

const ort::OrtEnv* environment() { return library().environment; }

void check(ort::OrtStatus* status, const std::string& subject) { check_with(api(), status, subject); }

}  // namespace beamcap::runtime
