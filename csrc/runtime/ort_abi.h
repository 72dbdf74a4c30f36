// ONNX Runtime's C ABI, as far as beamcap uses it, so that building needs none of its headers (its Python wheel ships
// the library alone).
//
// OrtApi is a table of function pointers. Its members keep their slots for ever: a new release only appends. Those that
// we use stand here in theirs, with placeholders for the ones between. Each slot is written down twice: by its place in
// the struct, and by the number below it, which tests/parity/test_ort_abi.py compares with the official header.
#pragma once

#include <cstddef>
#include <cstdint>

namespace beamcap::runtime::ort {

// The oldest table that we ask for (ONNX Runtime 1.17). Newer libraries serve it as well.
inline constexpr std::uint32_t kApiVersion = 17;

struct OrtAllocator;
struct OrtEnv;
struct OrtMemoryInfo;
struct OrtRunOptions;
struct OrtSession;
struct OrtSessionOptions;
struct OrtStatus;
struct OrtTensorTypeAndShapeInfo;
struct OrtTypeInfo;
struct OrtValue;

// Enumerations are C ints in the ABI; these are the values that we use.
inline constexpr int kLoggingLevelError = 3;      // ORT_LOGGING_LEVEL_ERROR
inline constexpr int kGraphOptimizationAll = 99;  // ORT_ENABLE_ALL
inline constexpr int kDeviceAllocator = 0;        // OrtDeviceAllocator
inline constexpr int kMemTypeDefault = 0;         // OrtMemTypeDefault

using Unused = const void*;

struct OrtApi {
  Unused unused_0[2];
  const char* (*GetErrorMessage)(const OrtStatus* status);
  OrtStatus* (*CreateEnv)(int log_severity, const char* log_id, OrtEnv** out);
  Unused unused_4[3];
  OrtStatus* (*CreateSession)(const OrtEnv* env, const char* path, const OrtSessionOptions* options, OrtSession** out);
  Unused unused_8[1];
  OrtStatus* (*Run)(OrtSession* session, const OrtRunOptions* options, const char* const* input_names,
                    const OrtValue* const* inputs, std::size_t input_count, const char* const* output_names,
                    std::size_t output_count, OrtValue** outputs);
  OrtStatus* (*CreateSessionOptions)(OrtSessionOptions** out);
  Unused unused_11[6];
  OrtStatus* (*DisableMemPattern)(OrtSessionOptions* options);
  Unused unused_18[5];
  OrtStatus* (*SetSessionGraphOptimizationLevel)(OrtSessionOptions* options, int level);
  OrtStatus* (*SetIntraOpNumThreads)(OrtSessionOptions* options, int threads);
  Unused unused_25[5];
  OrtStatus* (*SessionGetInputCount)(const OrtSession* session, std::size_t* out);
  OrtStatus* (*SessionGetOutputCount)(const OrtSession* session, std::size_t* out);
  Unused unused_32[1];
  OrtStatus* (*SessionGetInputTypeInfo)(const OrtSession* session, std::size_t index, OrtTypeInfo** out);
  OrtStatus* (*SessionGetOutputTypeInfo)(const OrtSession* session, std::size_t index, OrtTypeInfo** out);
  Unused unused_35[1];
  OrtStatus* (*SessionGetInputName)(const OrtSession* session, std::size_t index, OrtAllocator* allocator, char** out);
  OrtStatus* (*SessionGetOutputName)(const OrtSession* session, std::size_t index, OrtAllocator* allocator, char** out);
  Unused unused_38[10];
  OrtStatus* (*CreateTensorAsOrtValue)(OrtAllocator* allocator, const std::int64_t* shape, std::size_t rank, int type,
                                       OrtValue** out);
  OrtStatus* (*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo* memory, void* data, std::size_t bytes,
                                               const std::int64_t* shape, std::size_t rank, int type, OrtValue** out);
  Unused unused_50[1];
  OrtStatus* (*GetTensorMutableData)(OrtValue* value, void** out);
  Unused unused_52[3];
  OrtStatus* (*CastTypeInfoToTensorInfo)(const OrtTypeInfo* info, const OrtTensorTypeAndShapeInfo** out);
  Unused unused_56[4];
  OrtStatus* (*GetTensorElementType)(const OrtTensorTypeAndShapeInfo* info, int* out);
  OrtStatus* (*GetDimensionsCount)(const OrtTensorTypeAndShapeInfo* info, std::size_t* out);
  OrtStatus* (*GetDimensions)(const OrtTensorTypeAndShapeInfo* info, std::int64_t* out, std::size_t rank);
  OrtStatus* (*GetSymbolicDimensions)(const OrtTensorTypeAndShapeInfo* info, const char** out, std::size_t rank);
  Unused unused_64[1];
  OrtStatus* (*GetTensorTypeAndShape)(const OrtValue* value, OrtTensorTypeAndShapeInfo** out);
  Unused unused_66[3];
  OrtStatus* (*CreateCpuMemoryInfo)(int allocator_type, int memory_type, OrtMemoryInfo** out);
  Unused unused_70[6];
  OrtStatus* (*AllocatorFree)(OrtAllocator* allocator, void* memory);
  Unused unused_77[1];
  OrtStatus* (*GetAllocatorWithDefaultOptions)(OrtAllocator** out);
  Unused unused_79[14];
  void (*ReleaseStatus)(OrtStatus* status);
  void (*ReleaseMemoryInfo)(OrtMemoryInfo* info);
  void (*ReleaseSession)(OrtSession* session);
  void (*ReleaseValue)(OrtValue* value);
  Unused unused_97[1];
  void (*ReleaseTypeInfo)(OrtTypeInfo* info);
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo* info);
  void (*ReleaseSessionOptions)(OrtSessionOptions* options);
  Unused unused_101[29];
  OrtStatus* (*AddSessionConfigEntry)(OrtSessionOptions* options, const char* key, const char* value);
};

#define BEAMCAP_ORT_SLOT(member, slot) static_assert(offsetof(OrtApi, member) == (slot) * sizeof(void*))
BEAMCAP_ORT_SLOT(GetErrorMessage, 2);
BEAMCAP_ORT_SLOT(CreateEnv, 3);
BEAMCAP_ORT_SLOT(CreateSession, 7);
BEAMCAP_ORT_SLOT(Run, 9);
BEAMCAP_ORT_SLOT(CreateSessionOptions, 10);
BEAMCAP_ORT_SLOT(DisableMemPattern, 17);
BEAMCAP_ORT_SLOT(SetSessionGraphOptimizationLevel, 23);
BEAMCAP_ORT_SLOT(SetIntraOpNumThreads, 24);
BEAMCAP_ORT_SLOT(SessionGetInputCount, 30);
BEAMCAP_ORT_SLOT(SessionGetOutputCount, 31);
BEAMCAP_ORT_SLOT(SessionGetInputTypeInfo, 33);
BEAMCAP_ORT_SLOT(SessionGetOutputTypeInfo, 34);
BEAMCAP_ORT_SLOT(SessionGetInputName, 36);
BEAMCAP_ORT_SLOT(SessionGetOutputName, 37);
BEAMCAP_ORT_SLOT(CreateTensorAsOrtValue, 48);
BEAMCAP_ORT_SLOT(CreateTensorWithDataAsOrtValue, 49);
BEAMCAP_ORT_SLOT(GetTensorMutableData, 51);
BEAMCAP_ORT_SLOT(CastTypeInfoToTensorInfo, 55);
BEAMCAP_ORT_SLOT(GetTensorElementType, 60);
BEAMCAP_ORT_SLOT(GetDimensionsCount, 61);
BEAMCAP_ORT_SLOT(GetDimensions, 62);
BEAMCAP_ORT_SLOT(GetSymbolicDimensions, 63);
BEAMCAP_ORT_SLOT(GetTensorTypeAndShape, 65);
BEAMCAP_ORT_SLOT(CreateCpuMemoryInfo, 69);
BEAMCAP_ORT_SLOT(AllocatorFree, 76);
BEAMCAP_ORT_SLOT(GetAllocatorWithDefaultOptions, 78);
BEAMCAP_ORT_SLOT(ReleaseStatus, 93);
BEAMCAP_ORT_SLOT(ReleaseMemoryInfo, 94);
BEAMCAP_ORT_SLOT(ReleaseSession, 95);
BEAMCAP_ORT_SLOT(ReleaseValue, 96);
BEAMCAP_ORT_SLOT(ReleaseTypeInfo, 98);
BEAMCAP_ORT_SLOT(ReleaseTensorTypeAndShapeInfo, 99);
BEAMCAP_ORT_SLOT(ReleaseSessionOptions, 100);
BEAMCAP_ORT_SLOT(AddSessionConfigEntry, 130);
#undef BEAMCAP_ORT_SLOT

// What the library's one exported function, OrtGetApiBase, returns.
struct OrtApiBase {
  const OrtApi* (*GetApi)(std::uint32_t version);  // null: the library is older than that version
  const char* (*GetVersionString)();
};

using OrtGetApiBase = const OrtApiBase* (*)();

}  // namespace beamcap::runtime::ort
