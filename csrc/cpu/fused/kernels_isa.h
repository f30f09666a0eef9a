// The kernels of the instruction set this file is compiled for; kernels.h says what each does.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace amended_darts::mixed::fused::AMENDED_DARTS_ISA {

void pack(const float* in, int64_t channels, int64_t pixels, float* out, int64_t out_block);
void unpack(const float* in, int64_t in_block, int64_t channels, int64_t pixels, float* out);
void pack_last(const float* in, int64_t channels, int64_t pixels, float* out, int64_t out_block);
void unpack_last(const float* in, int64_t in_block, int64_t channels, int64_t pixels, float* out);

void relu(const float* in, int64_t count, float* out);
void mask_add(const float* x, const float* grad, const float* in, int64_t count, float* out);
void add_scaled(const float* in, float scale, int64_t count, float* out);
void normalize_relu(const float* z, const float* center, const float* scale, const float* bias, int64_t count,
                    float* out);
void combine(const Term* terms, int64_t num_terms, const float* bias, int64_t count, float* out);
void norm_grad(const NormGrad& norm, const float* grad, const float* z, int64_t count, bool accumulate, float* out);

void moments(const float* z, int64_t count, double* mean, double* m2);
void sum(const float* g, int64_t count, double* out);
void dot(const float* g, const float* z, const float* center, int64_t count, double* out);
void masked_sums(const float* z, const float* center, const float* scale, const float* bias, int64_t count, float* g,
                 double* sum, double* dot);

void correlate(const Correlation& correlation);
void correlate_grad(const CorrelationGrad& correlation);
void pointwise(const Pointwise& pointwise);
void pointwise_grad(const PointwiseGrad& pointwise);

void max_pool(const Pool& pool, const float* in, float* out);
void avg_pool(const Pool& pool, const float* in, float* out);
void max_pool_index(const Pool& pool, const float* in, float* out, float* index);
void max_pool_grad(const Pool& pool, const float* index, const float* grad_out, float* grad_in);
void avg_pool_grad(const Pool& pool, const float* grad_out, float* grad_in);

}  // namespace amended_darts::mixed::fused::AMENDED_DARTS_ISA
