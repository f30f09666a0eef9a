// The fused mixed op on the CPU: float32, contiguous NCHW, no torch.
//
// Outputs are written, not added to. The order of every sum is fixed by the shapes: no result depends on the threads.
#pragma once

#include "../../common/mixed_edges.h"

namespace amended_darts::mixed::fused {

void forward(const Forward<float>& call);
void backward(const Backward<float>& call);

// Floats in each edge's one `saved` buffer: what every convolution gave before its BatchNorm.
int64_t saved_size(const Edges<float>& edges);

}  // namespace amended_darts::mixed::fused
