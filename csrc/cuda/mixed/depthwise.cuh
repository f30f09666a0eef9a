// Depthwise convolutions from a tile in shared memory: [16 channels][samples][rows][pitch].
#pragma once

#include "tile.cuh"

namespace amended_darts::mixed {

// The part of a source that a tile of outputs reads, and how it lies in shared memory.
struct Patch {
  int y, x;        // source coordinates of its first element, for a tile at position (0, 0)
  int extent;      // rows, and elements of a row
  int pitch;       // odd: rows start in different banks
  int per_sample;  // elements
  int per_channel;

  __host__ __device__ static Patch make(int first, int extent, int samples) {
    Patch patch;
    patch.y = patch.x = first;
    patch.extent = extent;
    patch.pitch = extent | 1;
    patch.per_sample = extent * patch.pitch;
    patch.per_channel = samples * patch.per_sample;
    return patch;
  }
  // What outputs of a convolution read.
  __host__ __device__ static Patch of_inputs(const Tiling& tiling, int kernel, int dilation, int padding, int stride) {
    return make(-padding, (tiling.side - 1) * stride + (kernel - 1) * dilation + 1, tiling.samples);
  }
  // The outputs that read a tile of inputs. Input p is read by output q = (p + padding - tap · dilation) / stride.
  __host__ __device__ static Patch of_outputs(const Tiling& tiling, int kernel, int dilation, int padding, int stride) {
    const int low = padding - (kernel - 1) * dilation, high = tiling.side - 1 + padding;
    const int first = low >= 0 ? low / stride : -((-low + stride - 1) / stride);
    return make(first, high / stride - first + 1, tiling.samples);
  }
};

// Fills the patch, from (y0, x0) of the source, with activation(channel)(value); zeros outside the image. Threads take
// 16 channels x 16 elements of a row, the fastest dimension of the source first.
template <typename S, typename A, typename Activation>
__device__ inline void load_patch(const View<const S>& source, const Tiling& tiling, const TileOrigin& origin, int y0,
                                  int x0, const Patch& patch, int h, int w, int first_channel, int channels,
                                  const Activation& activation, A* shared) {
  const bool channels_first = source.w == 1 || source.c != 1;
  const int channel = channels_first ? threadIdx.x / kSegments : threadIdx.x % kChannels;
  const int lane = channels_first ? threadIdx.x % kSegments : threadIdx.x / kChannels;
  const int c = first_channel + channel;
  const auto apply = activation(c < channels ? c : 0);
  for (int s = 0; s < tiling.samples; ++s) {
    const int n = origin.n + s;
    for (int row = 0; row < patch.extent; ++row) {
      const int y = y0 + row;
      A* to = shared + channel * patch.per_channel + s * patch.per_sample + row * patch.pitch;
      const bool inside = c < channels && n < tiling.n && y >= 0 && y < h;
      for (int i = lane; i < patch.extent; i += kSegments) {
        const int x = x0 + i;
        to[i] = inside && x >= 0 && x < w ? apply(load(source.data + offset(source, n, c, y, x))) : A(0);
      }
    }
  }
}

// acc[j] += the depthwise convolution at a segment. `patch` points to the segment's sample and first input.
template <int K, int DILATION, int STRIDE, typename A>
__device__ inline void convolve_segment(const A* patch, int pitch, const A* taps, A (&acc)[kSegment]) {
  constexpr int kSpan = (kSegment - 1) * STRIDE + (K - 1) * DILATION + 1;
#pragma unroll
  for (int ky = 0; ky < K; ++ky) {
    A row[kSpan];
#pragma unroll
    for (int i = 0; i < kSpan; ++i) row[i] = patch[ky * DILATION * pitch + i];
#pragma unroll
    for (int kx = 0; kx < K; ++kx) {
      const A tap = taps[ky * K + kx];
#pragma unroll
      for (int j = 0; j < kSegment; ++j) acc[j] += tap * row[j * STRIDE + kx * DILATION];
    }
  }
}

// acc[j] += the transposed convolution at a segment of inputs, at y and x within the tile. `patch` points to the
// segment's sample. Tiles and segments begin at even inputs, so that every parity but that of y is known here.
template <int K, int DILATION, int STRIDE, typename A>
__device__ inline void transpose_segment(const A* patch, const Patch& layout, int y, int x, const A* taps,
                                         A (&acc)[kSegment]) {
  constexpr int kPadding = K / 2 * DILATION, kShift = STRIDE - 1;
  const A* first = patch - layout.y * layout.pitch - layout.x + (x >> kShift);
#pragma unroll
  for (int ky = 0; ky < K; ++ky) {
    const int from = y + kPadding - ky * DILATION;
    if (STRIDE == 2 && (from & 1) != 0) continue;
    const A* row = first + (from >> kShift) * layout.pitch;
#pragma unroll
    for (int kx = 0; kx < K; ++kx) {
      const A tap = taps[ky * K + kx];
#pragma unroll
      for (int j = 0; j < kSegment; ++j) {
        const int column = j + kPadding - kx * DILATION;
        if (STRIDE == 1 || (column & 1) == 0) acc[j] += tap * row[column >> kShift];
      }
    }
  }
}

// Calls body<K, DILATION, STRIDE>() for a depthwise candidate's numbers, which are then known to the compiler.
template <typename Body>
__device__ inline void for_kernel(int kernel, int dilation, int stride, const Body& body) {
  const int which = kernel * 4 + (dilation - 1) * 2 + (stride - 1);
  switch (which) {
    case 12: return body.template operator()<3, 1, 1>();
    case 13: return body.template operator()<3, 1, 2>();
    case 14: return body.template operator()<3, 2, 1>();
    case 15: return body.template operator()<3, 2, 2>();
    case 20: return body.template operator()<5, 1, 1>();
    case 21: return body.template operator()<5, 1, 2>();
    case 22: return body.template operator()<5, 2, 1>();
    case 23: return body.template operator()<5, 2, 2>();
    case 28: return body.template operator()<7, 1, 1>();
    default: return body.template operator()<7, 1, 2>();
  }
}

}  // namespace amended_darts::mixed
