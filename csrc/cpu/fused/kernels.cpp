// The table of this instruction set's kernels.
#include "kernels_isa.h"

#define AD_STRING2(x) #x
#define AD_STRING(x) AD_STRING2(x)

namespace amended_darts::mixed::fused::AMENDED_DARTS_ISA {

const Kernels kKernels = {
    .name = AD_STRING(AMENDED_DARTS_ISA),
    .width = kWidth,
    .pack = pack,
    .unpack = unpack,
    .pack_last = pack_last,
    .unpack_last = unpack_last,
    .relu = relu,
    .mask_add = mask_add,
    .add_scaled = add_scaled,
    .normalize_relu = normalize_relu,
    .combine = combine,
    .norm_grad = norm_grad,
    .moments = moments,
    .sum = sum,
    .dot = dot,
    .masked_sums = masked_sums,
    .correlate = correlate,
    .correlate_grad = correlate_grad,
    .pointwise = pointwise,
    .pointwise_grad = pointwise_grad,
    .max_pool = max_pool,
    .avg_pool = avg_pool,
    .max_pool_index = max_pool_index,
    .max_pool_grad = max_pool_grad,
    .avg_pool_grad = avg_pool_grad,
};

}  // namespace amended_darts::mixed::fused::AMENDED_DARTS_ISA
