#include "bindings/register.h"

namespace beamcap::bindings {

void register_runtime(pybind11::module_& module) { (void)module; }

}  // namespace beamcap::bindings
