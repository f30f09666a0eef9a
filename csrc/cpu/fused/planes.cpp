// Between NCHW and blocks of channels, and what runs over single pixels.
#include "kernels_isa.h"

namespace amended_darts::mixed::fused::AMENDED_DARTS_ISA {
namespace {

AD_INLINE void transpose(Quad (&q)[4]) {
  const Quad a = _mm_unpacklo_ps(q[0], q[1]), b = _mm_unpackhi_ps(q[0], q[1]);
  const Quad c = _mm_unpacklo_ps(q[2], q[3]), d = _mm_unpackhi_ps(q[2], q[3]);
  q[0] = _mm_movelh_ps(a, c);
  q[1] = _mm_movehl_ps(c, a);
  q[2] = _mm_movelh_ps(b, d);
  q[3] = _mm_movehl_ps(d, b);
}

// Four channels, of which only the first `channels` exist, into lanes 0..3 of out.
AD_INLINE void pack_quad(const float* in, int64_t channels, int64_t pixels, float* out) {
  const float* row[4];
  for (int c = 0; c < 4; ++c) row[c] = in + (c < channels ? c : 0) * pixels;
  int64_t p = 0;
  if (channels >= 4) {
    for (; p + 4 <= pixels; p += 4) {
      Quad q[4];
      AD_UNROLL for (int c = 0; c < 4; ++c) q[c] = load_quad(row[c] + p);
      transpose(q);
      AD_UNROLL for (int i = 0; i < 4; ++i) store_quad(out + (p + i) * kWidth, q[i]);
    }
  }
  for (; p < pixels; ++p) {
    for (int c = 0; c < 4; ++c) out[p * kWidth + c] = c < channels ? row[c][p] : 0.0f;
  }
}

AD_INLINE void unpack_quad(const float* in, int64_t channels, int64_t pixels, float* out) {
  int64_t p = 0;
  if (channels >= 4) {
    for (; p + 4 <= pixels; p += 4) {
      Quad q[4];
      AD_UNROLL for (int i = 0; i < 4; ++i) q[i] = load_quad(in + (p + i) * kWidth);
      transpose(q);
      AD_UNROLL for (int c = 0; c < 4; ++c) store_quad(out + c * pixels + p, q[c]);
    }
    channels = 4;
  }
  for (; p < pixels; ++p) {
    for (int64_t c = 0; c < channels; ++c) out[c * pixels + p] = in[p * kWidth + c];
  }
}

}  // namespace

void pack(const float* in, int64_t channels, int64_t pixels, float* out, int64_t out_block) {
  const int64_t lanes = (channels + kWidth - 1) / kWidth * kWidth;
  for (int64_t c = 0; c < lanes; c += 4) {
    float* block = out + c / kWidth * out_block + c % kWidth;
    pack_quad(in + (c < channels ? c : 0) * pixels, channels - c, pixels, block);
  }
}

void unpack(const float* in, int64_t in_block, int64_t channels, int64_t pixels, float* out) {
  for (int64_t c = 0; c < channels; c += 4) {
    unpack_quad(in + c / kWidth * in_block + c % kWidth, channels - c, pixels, out + c * pixels);
  }
}

void relu(const float* in, int64_t count, float* out) {
  for (int64_t p = 0; p < count * kWidth; p += kWidth) store(out + p, relu(load(in + p)));
}

void mask_add(const float* x, const float* grad, int64_t count, float* out) {
  for (int64_t p = 0; p < count * kWidth; p += kWidth) {
    store(out + p, load(out + p) + relu_grad(load(x + p), load(grad + p)));
  }
}

void add_scaled(const float* in, float scale, int64_t count, float* out) {
  const Vec s = broadcast(scale);
  for (int64_t p = 0; p < count * kWidth; p += kWidth) store(out + p, fma(s, load(in + p), load(out + p)));
}

}  // namespace amended_darts::mixed::fused::AMENDED_DARTS_ISA
