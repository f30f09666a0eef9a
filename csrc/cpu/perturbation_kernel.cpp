// The perturbation operators on the CPU: one pass over all tensors as one flat space, in chunks of fixed size, so that
// results do not depend on the number of threads.
#include <algorithm>
#include <cmath>
#include <vector>

#include "../common/parallel.h"
#include "../perturbation.h"

namespace amended_darts::perturbation {
namespace {

constexpr int64_t kChunk = 1 << 14;

// Calls body(chunk, tensor, begin, end) for every chunk of every tensor; returns the number of chunks.
template <typename Body>
int64_t for_each_chunk(const std::vector<int64_t>& sizes, const Body& body) {
  struct Chunk {
    size_t tensor;
    int64_t begin;
  };
  std::vector<Chunk> chunks;
  for (size_t t = 0; t < sizes.size(); ++t)
    for (int64_t begin = 0; begin < sizes[t]; begin += kChunk) chunks.push_back({t, begin});
  parallel_for(static_cast<int64_t>(chunks.size()), 8, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      body(i, chunks[i].tensor, chunks[i].begin, std::min(chunks[i].begin + kChunk, sizes[chunks[i].tensor]));
  });
  return static_cast<int64_t>(chunks.size());
}

template <typename T>
double sum_of_squares(const T* data, int64_t count) {
  constexpr int kLanes = 8;  // independent sums: adds need not wait for each other
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) {
      const double value = data[i + lane];
      lanes[lane] += value * value;
    }
  double sum = 0;
  for (; i < count; ++i) sum += static_cast<double>(data[i]) * static_cast<double>(data[i]);
  for (const double lane : lanes) sum += lane;
  return sum;
}

template <typename T>
double norm(const List<const T>& list) {
  int64_t count = 0;
  for (const int64_t size : list.sizes) count += (size + kChunk - 1) / kChunk;
  std::vector<double> partial(count);
  for_each_chunk(list.sizes, [&](int64_t chunk, size_t t, int64_t begin, int64_t end) {
    partial[chunk] = sum_of_squares(list.data[t] + begin, end - begin);
  });
  double sum = 0;
  for (const double each : partial) sum += each;
  return std::sqrt(sum);
}

template <typename T>
T number(const Tensor& t) {
  return *t.const_data_ptr<T>();
}

// A 0-d tensor with the norm, or with the step size of that norm.
Tensor norm_like(const Tensors& list, double (*finish)(double, double), double radius) {
  const Tensors ready = contiguous(list);
  Tensor result = torch::stable::new_empty(list[0], {});
  dispatch(list, [&](auto tag) {
    using T = decltype(tag);
    *result.mutable_data_ptr<T>() = static_cast<T>(finish(norm(pointers<T, const T>(ready)), radius));
  });
  return result;
}

Tensor global_norm_cpu(const Tensors& tensors) {
  check_list(tensors, "tensors", "global_norm");
  return norm_like(tensors, [](double norm, double) { return norm; }, 0);
}

Tensor step_size_cpu(const Tensors& direction, double radius) {
  check_list(direction, "direction", "step_size");
  check(radius >= 0, "step_size: radius must not be negative, got ", radius);
  return norm_like(direction, &step_size, radius);
}

void perturb_cpu(const Tensors& weights, const Tensors& origin, const Tensors& direction, const Tensor& step,
                 double sign) {
  check_perturb(weights, origin, direction, step);
  if (weights.empty()) return;
  const Tensors from = contiguous(origin), along = contiguous(direction), to = contiguous(weights);
  dispatch(weights, [&](auto tag) {
    using T = decltype(tag);
    const List<T> w = pointers<T>(to);
    const List<const T> o = pointers<T, const T>(from), v = pointers<T, const T>(along);
    const T scale = static_cast<T>(sign) * number<T>(step);
    for_each_chunk(w.sizes, [&](int64_t, size_t t, int64_t begin, int64_t end) {
      T* __restrict__ out = w.data[t];
      const T *a = o.data[t], *b = v.data[t];
      for (int64_t i = begin; i < end; ++i) out[i] = perturbed(a[i], b[i], scale);
    });
  });
  write_back(weights, to);
}

Tensors central_difference_cpu(const Tensors& plus, const Tensors& minus, const Tensor& step) {
  check_central_difference(plus, minus, step);
  if (plus.empty()) return {};
  const Tensors p = contiguous(plus), m = contiguous(minus);
  const Tensors result = empty_like(plus);
  dispatch(plus, [&](auto tag) {
    using T = decltype(tag);
    const List<T> out = pointers<T>(result);
    const List<const T> a = pointers<T, const T>(p), b = pointers<T, const T>(m);
    const T divisor = width(number<T>(step));
    for_each_chunk(out.sizes, [&](int64_t, size_t t, int64_t begin, int64_t end) {
      T* __restrict__ to = out.data[t];
      const T *left = a.data[t], *right = b.data[t];
      for (int64_t i = begin; i < end; ++i) to[i] = (left[i] - right[i]) / divisor;
    });
  });
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(amended_darts, CPU, m) {
  m.impl("global_norm", TORCH_BOX(&global_norm_cpu));
  m.impl("step_size", TORCH_BOX(&step_size_cpu));
  m.impl("perturb_", TORCH_BOX(&perturb_cpu));
  m.impl("central_difference", TORCH_BOX(&central_difference_cpu));
}

}  // namespace amended_darts::perturbation
