// One register_* per part of the core; module.cc calls them in the order of the data's path.
#pragma once

#include <pybind11/pybind11.h>

namespace beamcap::bindings {

void register_preprocess(pybind11::module_& module);
void register_search(pybind11::module_& module);
void register_runtime(pybind11::module_& module);

}  // namespace beamcap::bindings
