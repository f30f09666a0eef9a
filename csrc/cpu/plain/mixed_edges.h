// The plain kernels: every candidate and every shape, written to be read. Instantiated for double: float64 runs here.
#pragma once

#include "../../common/mixed_edges.h"

namespace amended_darts::mixed::plain {

template <typename T>
void forward(const Forward<T>& call);

template <typename T>
void backward(const Backward<T>& call);

}  // namespace amended_darts::mixed::plain
