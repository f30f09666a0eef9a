// Launchers of the perturbation operators: tables, workspace, launches. Not yet run on a GPU.
#include <memory>

#include "../perturbation.h"
#include "launch.h"
#include "perturbation.cuh"

namespace amended_darts::perturbation {
namespace {

// Calls body(table, chunks) for as many tables as the lists need; empty tensors take no chunk.
template <typename T, int arrays, typename Body>
void for_each_table(const List<T> (&lists)[arrays], const Body& body) {
  auto table = std::make_unique<Table<T, arrays>>();
  const size_t tensors = lists[0].sizes.size();
  int64_t chunks = 0;
  table->count = 0;
  for (size_t t = 0; t < tensors; ++t) {
    const int64_t size = lists[0].sizes[t];
    if (size > 0) {
      for (int a = 0; a < arrays; ++a) table->data[a][table->count] = lists[a].data[t];
      table->size[table->count] = size;
      table->first_chunk[table->count++] = static_cast<int32_t>(chunks);
      chunks += (size + kChunk - 1) / kChunk;
    }
    if (table->count == kMaxTensors || (t + 1 == tensors && table->count > 0)) {
      table->first_chunk[table->count] = static_cast<int32_t>(chunks);
      body(*table, static_cast<unsigned>(chunks));
      chunks = 0;
      table->count = 0;
    }
  }
}

template <typename T>
int64_t num_chunks(const List<T>& list) {
  int64_t count = 0;
  for (const int64_t size : list.sizes) count += (size + kChunk - 1) / kChunk;
  return count;
}

// The norm (radius < 0) or the step size for it, in two launches.
Tensor norm_like(const Tensors& list, double radius, const char* op) {
  const Launcher launch(op, list[0]);
  const Tensors ready = contiguous(list);
  Tensor result = torch::stable::new_empty(list[0], {});
  dispatch(list, [&](auto tag) {
    using T = decltype(tag);
    const List<T> lists[1] = {pointers<T>(ready)};
    const int64_t count = num_chunks(lists[0]);
    Tensor workspace = torch::stable::new_empty(list[0], {count}, ScalarType::Double);
    double* partial = workspace.mutable_data_ptr<double>();
    int64_t done = 0;
    for_each_table(lists, [&](const Table<T, 1>& table, unsigned chunks) {
      launch(squares_kernel<T>, chunks, kThreads, 0, table, partial + done);
      done += chunks;
    });
    launch(finish_norm_kernel<T>, 1, kThreads, 0, partial, count, radius, result.mutable_data_ptr<T>());
  });
  return result;
}

Tensor global_norm_cuda(const Tensors& tensors) {
  check_list(tensors, "tensors", "global_norm");
  return norm_like(tensors, -1.0, "global_norm");
}

Tensor step_size_cuda(const Tensors& direction, double radius) {
  check_list(direction, "direction", "step_size");
  check(radius >= 0, "step_size: radius must not be negative, got ", radius);
  return norm_like(direction, radius, "step_size");
}

void perturb_cuda(const Tensors& weights, const Tensors& origin, const Tensors& direction, const Tensor& step,
                  double sign) {
  check_perturb(weights, origin, direction, step);
  if (weights.empty()) return;
  const Launcher launch("perturb_", weights[0]);
  const Tensors to = contiguous(weights), from = contiguous(origin), along = contiguous(direction);
  dispatch(weights, [&](auto tag) {
    using T = decltype(tag);
    const List<T> lists[3] = {pointers<T>(to), pointers<T>(from), pointers<T>(along)};
    for_each_table(lists, [&](const Table<T, 3>& table, unsigned chunks) {
      launch(perturb_kernel<T>, chunks, kThreads, 0, table, step.const_data_ptr<T>(), static_cast<T>(sign));
    });
  });
  write_back(weights, to);
}

Tensors central_difference_cuda(const Tensors& plus, const Tensors& minus, const Tensor& step) {
  check_central_difference(plus, minus, step);
  if (plus.empty()) return {};
  const Launcher launch("central_difference", plus[0]);
  const Tensors p = contiguous(plus), m = contiguous(minus);
  const Tensors result = empty_like(plus);
  dispatch(plus, [&](auto tag) {
    using T = decltype(tag);
    const List<T> lists[3] = {pointers<T>(result), pointers<T>(p), pointers<T>(m)};
    for_each_table(lists, [&](const Table<T, 3>& table, unsigned chunks) {
      launch(central_difference_kernel<T>, chunks, kThreads, 0, table, step.const_data_ptr<T>());
    });
  });
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(amended_darts, CUDA, m) {
  m.impl("global_norm", TORCH_BOX(&global_norm_cuda));
  m.impl("step_size", TORCH_BOX(&step_size_cuda));
  m.impl("perturb_", TORCH_BOX(&perturb_cuda));
  m.impl("central_difference", TORCH_BOX(&central_difference_cuda));
}

}  // namespace amended_darts::perturbation
