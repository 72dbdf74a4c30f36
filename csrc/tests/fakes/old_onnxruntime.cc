// A library that looks like ONNX Runtime from before the oldest API that we ask for.
#include <cstdint>

#include "runtime/ort_abi.h"

namespace {

namespace ort = beamcap::runtime::ort;

const ort::OrtApi* get_api(std::uint32_t) { return nullptr; }

const char* get_version() { return "1.16.3"; }

const ort::OrtApiBase base = {get_api, get_version};

}  // namespace

extern "C" __attribute__((visibility("default"))) const ort::OrtApiBase* OrtGetApiBase();

const ort::OrtApiBase* OrtGetApiBase() { return &base; }
