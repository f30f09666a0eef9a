#include "weights.h"

#include <algorithm>

#include "../../common/parallel.h"

namespace amended_darts::mixed::fused {
namespace {

size_t index(int64_t i) { return static_cast<size_t>(i); }

// Elements (rows x cols) of every channel's kernel, [blocks][rows][cols][width]; ones without a kernel.
std::vector<float> pack_kernel(const float* kernel, int size, const std::vector<int>& rows,
                               const std::vector<int>& cols, const Channels& channels) {
  const int64_t taps = static_cast<int64_t>(rows.size() * cols.size());
  const int64_t width = channels.width;
  std::vector<float> packed(index(channels.in_lanes() * taps), 0.0f);
  for (int64_t c = 0; c < channels.in; ++c) {
    float* out = packed.data() + c / width * taps * width + c % width;
    for (const int row : rows) {
      for (const int col : cols) {
        *out = kernel != nullptr ? kernel[(c * size + row) * size + col] : 1.0f;
        out += width;
      }
    }
  }
  return packed;
}

std::vector<int> all(int size) {
  std::vector<int> elements;
  for (int i = 0; i < size; ++i) elements.push_back(i);
  return elements;
}

}  // namespace

LayerWeights pack_weights(const Layer& layer, const float* const* params, const Channels& channels, bool backward) {
  LayerWeights weights;
  const int64_t row = channels.out_lanes(), transposed_row = channels.in_lanes();
  const float* kernel = layer.depthwise ? params[layer.param] : nullptr;
  for (const Tap& tap : layer.taps) {
    TapWeights packed;
    packed.kernel = pack_kernel(kernel, tap.kernel, all(tap.kernel), all(tap.kernel), channels);
    packed.matrix.assign(index(channels.in * row), 0.0f);
    if (backward) packed.transposed.assign(index(channels.out * transposed_row), 0.0f);
    const float* matrix = params[tap.param] + tap.param_offset;
    for (int64_t m = tap.out_begin; m < tap.out_end; ++m) {
      const float* from = matrix + (m - tap.out_begin) * channels.in * tap.param_stride;
      float* column = packed.matrix.data() + m;
      for (int64_t k = 0; k < channels.in; ++k) column[k * row] = from[k * tap.param_stride];
      if (!backward) continue;
      float* to = packed.transposed.data() + m * transposed_row;
      for (int64_t k = 0; k < channels.in; ++k) to[k] = from[k * tap.param_stride];
    }
    if (backward) {
      for (const Phase& phase : tap.phases) {
        packed.phases.push_back(pack_kernel(kernel, tap.kernel, phase.tap_rows, phase.tap_cols, channels));
      }
    }
    weights.taps.push_back(std::move(packed));
  }
  return weights;
}

int64_t matrix_grad_offset(const Layer& layer, int tap, const Channels& channels) {
  const int64_t kernel = layer.depthwise ? channels.in_lanes() * layer.taps[0].kernel * layer.taps[0].kernel : 0;
  return kernel + tap * channels.in * channels.out_lanes();
}

int64_t grad_size(const Layer& layer, const Channels& channels) {
  return matrix_grad_offset(layer, static_cast<int>(layer.taps.size()), channels);
}

void unpack_grads(const Layer& layer, const float* partials, int64_t count, int64_t stride, const Channels& channels,
                  float* const* grads) {
  // sums[j] = the total at position `at + j`
  const auto add_up = [&](int64_t at, std::vector<double>& sums) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (int64_t i = 0; i < count; ++i) {
      const float* from = partials + i * stride + at;
      for (size_t j = 0; j < sums.size(); ++j) sums[j] += static_cast<double>(from[j]);
    }
  };
  if (layer.depthwise && grads[layer.param] != nullptr) {
    const int64_t taps = int64_t{layer.taps[0].kernel} * layer.taps[0].kernel;
    const int64_t width = channels.width;
    std::vector<double> sums(index(channels.in_lanes() * taps));
    add_up(0, sums);
    for (int64_t c = 0; c < channels.in; ++c) {
      for (int64_t t = 0; t < taps; ++t) {
        grads[layer.param][c * taps + t] = static_cast<float>(sums[index((c / width * taps + t) * width + c % width)]);
      }
    }
  }
  const int64_t row = channels.out_lanes();
  for (size_t t = 0; t < layer.taps.size(); ++t) {
    const Tap& tap = layer.taps[t];
    if (grads[tap.param] == nullptr) continue;
    float* grad = grads[tap.param] + tap.param_offset;
    const int64_t offset = matrix_grad_offset(layer, static_cast<int>(t), channels);
    parallel_for(channels.in, 16, [&](int64_t begin, int64_t end) {
      std::vector<double> sums(index(tap.out_end - tap.out_begin));
      for (int64_t k = begin; k < end; ++k) {
        add_up(offset + k * row + tap.out_begin, sums);
        for (size_t m = 0; m < sums.size(); ++m) {
          grad[(static_cast<int64_t>(m) * channels.in + k) * tap.param_stride] = static_cast<float>(sums[m]);
        }
      }
    });
  }
}

}  // namespace amended_darts::mixed::fused
