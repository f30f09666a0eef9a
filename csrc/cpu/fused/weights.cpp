#include "weights.h"

#include "../../common/parallel.h"

namespace amended_darts::mixed::fused {
namespace {

int64_t padded(int64_t channels, int width) { return (channels + width - 1) / width * width; }

size_t index(int64_t i) { return static_cast<size_t>(i); }

// Elements (rows x cols) of every channel's kernel, [blocks][rows][cols][width]; ones without a kernel.
std::vector<float> pack_kernel(const float* kernel, int size, const std::vector<int>& rows,
                               const std::vector<int>& cols, int64_t channels, int width) {
  const int64_t taps = static_cast<int64_t>(rows.size() * cols.size());
  std::vector<float> packed(index(padded(channels, width) * taps), 0.0f);
  for (int64_t c = 0; c < channels; ++c) {
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

LayerWeights pack_weights(const Layer& layer, const float* const* params, int64_t channels, int width, bool backward) {
  LayerWeights weights;
  const int64_t row = padded(channels, width);
  const float* kernel = layer.depthwise ? params[layer.param] : nullptr;
  for (const Tap& tap : layer.taps) {
    TapWeights packed;
    packed.kernel = pack_kernel(kernel, tap.kernel, all(tap.kernel), all(tap.kernel), channels, width);
    packed.matrix.assign(index(channels * row), 0.0f);
    if (backward) packed.transposed.assign(index(channels * row), 0.0f);
    const float* matrix = params[tap.param] + tap.param_offset;
    for (int64_t m = tap.out_begin; m < tap.out_end; ++m) {
      for (int64_t k = 0; k < channels; ++k) {
        const float value = matrix[((m - tap.out_begin) * channels + k) * tap.param_stride];
        packed.matrix[index(k * row + m)] = value;
        if (backward) packed.transposed[index(m * row + k)] = value;
      }
    }
    if (backward) {
      for (const Phase& phase : tap.phases) {
        packed.phases.push_back(pack_kernel(kernel, tap.kernel, phase.tap_rows, phase.tap_cols, channels, width));
      }
    }
    weights.taps.push_back(std::move(packed));
  }
  return weights;
}

int64_t matrix_grad_offset(const Layer& layer, int tap, int64_t channels, int width) {
  const int64_t row = padded(channels, width);
  const int64_t kernel = layer.depthwise ? row * layer.taps[0].kernel * layer.taps[0].kernel : 0;
  return kernel + tap * channels * row;
}

int64_t grad_size(const Layer& layer, int64_t channels, int width) {
  return matrix_grad_offset(layer, static_cast<int>(layer.taps.size()), channels, width);
}

void unpack_grads(const Layer& layer, const float* partials, int64_t count, int64_t stride, int64_t channels, int width,
                  float* const* grads) {
  const auto total = [&](int64_t at) {
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(partials[i * stride + at]);
    return static_cast<float>(sum);
  };
  if (layer.depthwise && grads[layer.param] != nullptr) {
    const int64_t taps = int64_t{layer.taps[0].kernel} * layer.taps[0].kernel;
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t t = 0; t < taps; ++t) {
        grads[layer.param][c * taps + t] = total((c / width * taps + t) * width + c % width);
      }
    }
  }
  const int64_t row = padded(channels, width);
  for (size_t t = 0; t < layer.taps.size(); ++t) {
    const Tap& tap = layer.taps[t];
    if (grads[tap.param] == nullptr) continue;
    float* grad = grads[tap.param] + tap.param_offset;
    const int64_t offset = matrix_grad_offset(layer, static_cast<int>(t), channels, width);
    parallel_for(tap.out_end - tap.out_begin, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        for (int64_t k = 0; k < channels; ++k) {
          grad[(i * channels + k) * tap.param_stride] = total(offset + k * row + tap.out_begin + i);
        }
      }
    });
  }
}

}  // namespace amended_darts::mixed::fused
