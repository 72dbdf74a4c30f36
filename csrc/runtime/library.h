// The ONNX Runtime library of this process. Together with tensor.cc and session.cc the only code that calls it.
#pragma once

#include <string>

#include "runtime/ort_abi.h"

namespace beamcap::runtime {

// Loads libonnxruntime from a path, once a process; the same library again is no error. Returns its version ("1.22.0").
// Throws std::runtime_error if it cannot be loaded, is older than ort::kApiVersion, or another one is loaded already.
std::string load_library(const std::string& path);

// The loaded library's functions. Throws std::runtime_error if none is loaded.
const ort::OrtApi& api();

// Its environment: one a process, alive until the process ends.
const ort::OrtEnv* environment();

// Throws std::runtime_error "subject: message" if the status is an error, and releases it.
void check(ort::OrtStatus* status, const std::string& subject);

// Owns one of the library's objects, which it frees by the function in that member of the table.
template <auto Release>
struct Releaser {
  template <typename Object>
  void operator()(Object* object) const noexcept {
    (api().*Release)(object);
  }
};

}  // namespace beamcap::runtime
