#include "runtime/library.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "ort_fixture.h"

namespace beamcap::runtime {
namespace {

using LibraryTest = beamcap::testing::WithOnnxRuntime;

std::string error_of(const std::string& path) {
  try {
    load_library(path);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

TEST(Library, MustBeThere) { EXPECT_NE(error_of("no-such-library.so").find("no-such-library.so"), std::string::npos); }

TEST(Library, MustBeOnnxRuntime) {
  EXPECT_EQ(error_of("libm.so.6"), "libm.so.6 is not ONNX Runtime: it has no OrtGetApiBase");
}

TEST(Library, MustBeNewEnough) {
  const std::string path = BEAMCAP_OLD_ONNXRUNTIME;
  EXPECT_EQ(error_of(path), path + " is ONNX Runtime 1.16.3: beamcap needs 1.17 or newer");
}

TEST_F(LibraryTest, LoadsOnce) {
  const std::string path = std::getenv("BEAMCAP_ORT_LIBRARY");
  EXPECT_EQ(load_library(path), load_library(path));
  const ort::OrtEnv* const first = environment();
  load_library(path);
  EXPECT_EQ(environment(), first);
}

}  // namespace
}  // namespace beamcap::runtime
