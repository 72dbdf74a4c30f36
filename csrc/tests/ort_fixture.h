// For the tests that run graphs: ONNX Runtime, if there is one, and the tiny models.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "runtime/graphs.h"
#include "runtime/library.h"

namespace beamcap::testing {

// Skips its tests unless BEAMCAP_ORT_LIBRARY names ONNX Runtime's shared library.
class WithOnnxRuntime : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* const library = std::getenv("BEAMCAP_ORT_LIBRARY");
    if (library == nullptr) GTEST_SKIP() << "BEAMCAP_ORT_LIBRARY does not name libonnxruntime";
    runtime::load_library(library);
  }
};

// A file of tests/data/tiny.
inline std::string tiny(const std::string& file) {
  return (std::filesystem::path(__FILE__).parent_path() / "../../tests/data/tiny" / file).string();
}

inline runtime::Graphs load_tiny(const std::string& form) {
  runtime::BundleFiles files{tiny(form + "/encoder_model.onnx"), tiny(form + "/decoder_model.onnx"), std::nullopt};
  if (form == "merged") files.decoder = tiny("merged/decoder_model_merged.onnx");
  if (form == "split" || form == "half" || form == "external") {
    files.decoder_with_past = tiny(form + "/decoder_with_past_model.onnx");
  }
  return runtime::Graphs::load(files, {});
}

}  // namespace beamcap::testing
