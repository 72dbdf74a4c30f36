#include "bindings/register.h"

namespace beamcap::bindings {

void register_search(pybind11::module_& module) { (void)module; }

}  // namespace beamcap::bindings
