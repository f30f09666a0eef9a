// Between NCHW or NHWC and blocks of channels, and what runs over single pixels.
#include "kernels_isa.h"

namespace amended_darts::mixed::fused::AMENDED_DARTS_ISA {
namespace {

// In each 128-bit lane: the first (second) elements or pairs of a and b in turn.
#if AMENDED_DARTS_WIDTH == 16
AD_INLINE Vec low(Vec a, Vec b) { return _mm512_unpacklo_ps(a, b); }
AD_INLINE Vec high(Vec a, Vec b) { return _mm512_unpackhi_ps(a, b); }
AD_INLINE Vec low_pairs(Vec a, Vec b) { return (Vec)_mm512_unpacklo_pd((__m512d)a, (__m512d)b); }
AD_INLINE Vec high_pairs(Vec a, Vec b) { return (Vec)_mm512_unpackhi_pd((__m512d)a, (__m512d)b); }
#elif AMENDED_DARTS_WIDTH == 8
AD_INLINE Vec low(Vec a, Vec b) { return _mm256_unpacklo_ps(a, b); }
AD_INLINE Vec high(Vec a, Vec b) { return _mm256_unpackhi_ps(a, b); }
AD_INLINE Vec low_pairs(Vec a, Vec b) { return (Vec)_mm256_unpacklo_pd((__m256d)a, (__m256d)b); }
AD_INLINE Vec high_pairs(Vec a, Vec b) { return (Vec)_mm256_unpackhi_pd((__m256d)a, (__m256d)b); }
#endif
AD_INLINE Quad low(Quad a, Quad b) { return _mm_unpacklo_ps(a, b); }
AD_INLINE Quad high(Quad a, Quad b) { return _mm_unpackhi_ps(a, b); }
AD_INLINE Quad low_pairs(Quad a, Quad b) { return _mm_movelh_ps(a, b); }
AD_INLINE Quad high_pairs(Quad a, Quad b) { return _mm_movehl_ps(b, a); }

// 4 x 4 in each 128-bit lane
template <typename V>
AD_INLINE void transpose(V* q) {
  const V a = low(q[0], q[1]), b = high(q[0], q[1]), c = low(q[2], q[3]), d = high(q[2], q[3]);
  q[0] = low_pairs(a, c);
  q[1] = high_pairs(a, c);
  q[2] = low_pairs(b, d);
  q[3] = high_pairs(b, d);
}

// kWidth x kWidth. Whole cache lines of each row at a time: rows 4096 bytes apart share a set of the first cache, and
// parts of a line would have to be fetched again.
AD_INLINE void transpose_tile(const float* in, ptrdiff_t in_row, float* out, ptrdiff_t out_row) {
  Vec v[kWidth];
  AD_UNROLL for (int i = 0; i < kWidth; ++i) v[i] = load(in + i * in_row);
  AD_UNROLL for (int i = 0; i < kWidth; i += 4) transpose(v + i);
#if AMENDED_DARTS_WIDTH == 16
  AD_UNROLL for (int i = 0; i < 4; ++i) {
    const Vec a = _mm512_shuffle_f32x4(v[i], v[4 + i], 0x44), b = _mm512_shuffle_f32x4(v[i], v[4 + i], 0xee);
    const Vec c = _mm512_shuffle_f32x4(v[8 + i], v[12 + i], 0x44), d = _mm512_shuffle_f32x4(v[8 + i], v[12 + i], 0xee);
    store(out + i * out_row, _mm512_shuffle_f32x4(a, c, 0x88));
    store(out + (4 + i) * out_row, _mm512_shuffle_f32x4(a, c, 0xdd));
    store(out + (8 + i) * out_row, _mm512_shuffle_f32x4(b, d, 0x88));
    store(out + (12 + i) * out_row, _mm512_shuffle_f32x4(b, d, 0xdd));
  }
#elif AMENDED_DARTS_WIDTH == 8
  AD_UNROLL for (int i = 0; i < 4; ++i) {
    store(out + i * out_row, _mm256_permute2f128_ps(v[i], v[4 + i], 0x20));
    store(out + (4 + i) * out_row, _mm256_permute2f128_ps(v[i], v[4 + i], 0x31));
  }
#else
  AD_UNROLL for (int i = 0; i < kWidth; ++i) store(out + i * out_row, v[i]);
#endif
}

// Four channels, of which only the first `channels` exist, into lanes 0..3 of out, from pixel p on.
AD_INLINE void pack_quad(const float* in, int64_t channels, int64_t pixels, int64_t p, float* out) {
  const float* row[4];
  for (int c = 0; c < 4; ++c) row[c] = in + (c < channels ? c : 0) * pixels;
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

AD_INLINE void unpack_quad(const float* in, int64_t channels, int64_t pixels, int64_t p, float* out) {
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
  for (int64_t first = 0; first < channels; first += kWidth, out += out_block) {
    const float* rows = in + first * pixels;
    int64_t p = 0;
    if (channels - first >= kWidth) {
      for (; p + kWidth <= pixels; p += kWidth) transpose_tile(rows + p, pixels, out + p * kWidth, kWidth);
    }
    for (int64_t c = 0; c < kWidth; c += 4) {
      const int64_t left = channels - first - c;
      pack_quad(left > 0 ? rows + c * pixels : rows, left, pixels, p, out + c);
    }
  }
}

void unpack(const float* in, int64_t in_block, int64_t channels, int64_t pixels, float* out) {
  for (int64_t first = 0; first < channels; first += kWidth, in += in_block) {
    float* rows = out + first * pixels;
    int64_t p = 0;
    if (channels - first >= kWidth) {
      for (; p + kWidth <= pixels; p += kWidth) transpose_tile(in + p * kWidth, kWidth, rows + p, pixels);
    }
    for (int64_t c = 0; c < kWidth && first + c < channels; c += 4) {
      unpack_quad(in + c, channels - first - c, pixels, p, rows + c * pixels);
    }
  }
}

void pack_last(const float* in, int64_t channels, int64_t pixels, float* out, int64_t out_block) {
  const int64_t size = channels * pixels;
  for (int64_t first = 0; first < channels; first += kWidth, out += out_block) {
    const int64_t left = channels - first;
    const IntVec there = lanes() < static_cast<int32_t>(left < kWidth ? left : kWidth);
    int64_t p = 0, at = first;
    for (; p < pixels && at + kWidth <= size; ++p, at += channels) {
      store(out + p * kWidth, select(there, load(in + at), zero()));
    }
    for (; p < pixels; ++p, at += channels) {
      for (int64_t c = 0; c < kWidth; ++c) out[p * kWidth + c] = c < left ? in[at + c] : 0.0f;
    }
  }
}

void unpack_last(const float* in, int64_t in_block, int64_t channels, int64_t pixels, float* out) {
  for (int64_t first = 0; first < channels; first += kWidth, in += in_block) {
    const int64_t left = channels - first;
    for (int64_t p = 0; p < pixels; ++p) {
      float* to = out + p * channels + first;
      if (left >= kWidth) {
        store(to, load(in + p * kWidth));
      } else {
        for (int64_t c = 0; c < left; ++c) to[c] = in[p * kWidth + c];
      }
    }
  }
}

void relu(const float* in, int64_t count, float* out) {
  for (int64_t p = 0; p < count * kWidth; p += kWidth) store(out + p, relu(load(in + p)));
}

void mask_add(const float* x, const float* grad, const float* in, int64_t count, float* out) {
  for (int64_t p = 0; p < count * kWidth; p += kWidth) {
    store(out + p, load(in + p) + relu_grad(load(x + p), load(grad + p)));
  }
}

void add_scaled(const float* in, float scale, int64_t count, float* out) {
  const Vec s = broadcast(scale);
  for (int64_t p = 0; p < count * kWidth; p += kWidth) store(out + p, fma(s, load(in + p), load(out + p)));
}

}  // namespace amended_darts::mixed::fused::AMENDED_DARTS_ISA
