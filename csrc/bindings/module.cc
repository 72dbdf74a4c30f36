// beamcap._core: the table of contents.
#include "bindings/register.h"

PYBIND11_MODULE(_core, module) {
  module.doc() = "The C++ core of beamcap: preprocessing, search, runtime.";
  beamcap::bindings::register_preprocess(module);
  beamcap::bindings::register_search(module);
  beamcap::bindings::register_runtime(module);
}
