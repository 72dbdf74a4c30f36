#include "search/options.h"

namespace beamcap::search {

void Options::validate(std::int64_t, std::int64_t) const {}

}  // namespace beamcap::search
