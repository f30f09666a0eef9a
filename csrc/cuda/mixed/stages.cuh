// The launches that mixed_edges is made of: each fills a kernel's table from a plan.
#pragma once

#include <algorithm>
#include <vector>

#include "../launch.h"
#include "convolution.cuh"
#include "convolution_backward.cuh"
#include "finish.cuh"
#include "input_backward.cuh"
#include "plan.h"
#include "terms.cuh"
#include "units.h"

namespace amended_darts::mixed {

// Memory of one call, from torch's allocator; freed with it, in the order of the stream.
class Workspace {
 public:
  explicit Workspace(const torch::stable::Tensor& like) : like_(like) {}

  template <typename T>
  T* get(int64_t count) {
    using torch::headeronly::ScalarType;
    const ScalarType type = sizeof(T) == 8 ? ScalarType::Double : sizeof(T) == 4 ? ScalarType::Float : ScalarType::Half;
    held_.push_back(torch::stable::new_empty(like_, {std::max<int64_t>(count, 1)}, type));
    return static_cast<T*>(held_.back().mutable_data_ptr());
  }

 private:
  torch::stable::Tensor like_;
  std::vector<torch::stable::Tensor> held_;
};

template <typename S>
struct Stages {
  using A = wide_t<S>;
  const Launcher& launch;
  Workspace& workspace;
  const Operands<S>& call;
  Tiling tiling = Tiling::of(call.shape.n, call.shape.out_h(), call.shape.out_w());
  Tiling input_tiling = Tiling::of(call.shape.n, call.shape.h, call.shape.w);
  bool channels_last = call.x.c == 1 && call.x.w != 1;

  // Calls body<M>(), M rows_for some channels.
  template <typename Body>
  static void for_rows(int rows, const Body& body) {
    if constexpr (kWhole<A> == 64) {
      if (rows == 64) return body.template operator()<64>();
      if (rows == 32) return body.template operator()<32>();
    }
    body.template operator()<16>();
  }

  // Calls body<arithmetic>(): tensor cores for 16-bit types, and for float32 where TF32 is allowed.
  template <typename Body>
  void for_arithmetic(const Body& body) const {
    if constexpr (sizeof(S) == 2) {
      body.template operator()<Arithmetic::tensor>();
    } else {
      if constexpr (sizeof(S) == 4)
        if (call.allow_tf32) return body.template operator()<Arithmetic::tensor>();
      body.template operator()<Arithmetic::exact>();
    }
  }

  // [N, c, h, w] in the memory format of x
  View<S> activation(S* data, int64_t c, int64_t h, int64_t w) const {
    const auto narrow = [](int64_t v) { return static_cast<int32_t>(v); };
    if (channels_last) return {data, c * h * w, 1, narrow(w * c), narrow(c)};
    return {data, c * h * w, narrow(h * w), narrow(w), 1};
  }
  View<S> new_output() const {
    return activation(workspace.template get<S>(call.shape.out_size()), call.shape.out_c, call.shape.out_h(),
                      call.shape.out_w());
  }
  A* new_partial() const { return workspace.template get<A>(2 * call.shape.out_c * tiling.partials()); }

  // z and sums of convolutions; with `pools`, statistics of the pools as well.
  void convolutions(const std::vector<Convolution<S>>& list, const Tiling& of, A* max_partial = nullptr,
                    A* avg_partial = nullptr) const {
    ConvolutionCall<S> table;
    table.tiling = of;
    table.eps = call.eps;
    table.x = call.x;
    table.channels = static_cast<int32_t>(call.shape.c);
    table.h = static_cast<int32_t>(call.shape.h), table.w = static_cast<int32_t>(call.shape.w);
    table.stride = static_cast<int32_t>(call.shape.stride);
    table.max_partial = max_partial, table.avg_partial = avg_partial;
    int64_t out = 16;
    for (const Convolution<S>& conv : list) {
      table.convolutions[table.count++] = conv;
      out = std::max<int64_t>(out, conv.out);
      table.patch = std::max(table.patch, patch_size(conv, of));
    }
    const int64_t jobs = table.count + (table.pools() ? 1 : 0);
    if (jobs == 0) return;
    for_rows(rows_for<A>(out), [&]<int M>() {
      for_arithmetic([&]<Arithmetic arithmetic>() {
        launch(convolution_kernel<S, M, arithmetic>, dim3(static_cast<unsigned>(of.tiles() * jobs), ceil_div(out, M)),
               kThreads, shared_bytes<ConvolutionShared<S, M, arithmetic>>(table.patch), table);
      });
    });
  }

  static int patch_size(const Convolution<S>& conv, const Tiling& of) {
    if (conv.taps != Taps::depthwise) return 0;
    return Patch::of_inputs(of, conv.kernel, conv.dilation, conv.padding, conv.stride).per_channel;
  }

  void statistics(const std::vector<typename StatisticsCall<A>::Row>& rows) const {
    for (size_t from = 0; from < rows.size(); from += kMaxRows) {
      StatisticsCall<A> table;
      table.tiling = tiling;
      table.channels = static_cast<int32_t>(call.shape.out_c);
      table.count = static_cast<int32_t>(std::min<size_t>(kMaxRows, rows.size() - from));
      std::copy_n(rows.begin() + from, table.count, table.rows);
      launch(statistics_kernel<A>, dim3(ceil_div(table.channels, kWarps), table.count), kThreads, 0, table);
    }
  }

  // Corrections and gradients of BN arguments; with `factors`, gradients of the weights.
  void sums(const std::vector<typename SumsCall<A>::Row>& rows, bool factors) const {
    if (rows.empty()) return;
    SumsCall<A> table;
    table.tiling = tiling;
    table.eps = call.eps;
    table.channels = static_cast<int32_t>(call.shape.out_c);
    table.count = static_cast<int32_t>(rows.size());
    std::copy(rows.begin(), rows.end(), table.rows);
    const bool any = std::any_of(rows.begin(), rows.end(), [](const auto& row) {
      return row.correction != nullptr || row.grad_weight != nullptr;
    });
    if (any) launch(sums_kernel<A>, dim3(ceil_div(table.channels, kWarps), table.count), kThreads, 0, table);
    const int64_t samples = call.per_sample ? call.shape.n : 1;
    if (factors) launch(factor_kernel<A>, dim3(static_cast<unsigned>(samples), table.count), kThreads, 0, table);
  }

  // y, or the sums of backward, from the terms that `wanted` chooses.
  template <typename Wanted>
  void terms(const Plan<S>& plan, const std::vector<View<S>>& y, const std::vector<View<const S>>& grad,
             const Wanted& wanted) const {
    TermsCall<S> table;
    table.tiling = tiling;
    table.eps = call.eps;
    table.channels = static_cast<int32_t>(call.shape.out_c);
    table.h = static_cast<int32_t>(call.shape.h), table.w = static_cast<int32_t>(call.shape.w);
    table.stride = static_cast<int32_t>(call.shape.stride);
    table.x = call.x;
    table.edges = static_cast<int32_t>(plan.end - plan.begin);
    int count = 0;
    for (int e = 0; e < table.edges; ++e) {
      table.first_term[e] = count;
      for (int t = plan.first_term[e]; t < plan.first_term[e + 1]; ++t) {
        const Term<S>& term = plan.terms[t].term;
        if (!wanted(plan.terms[t])) continue;
        table.pools = table.pools || term.value == Value::max_pool || term.value == Value::avg_pool;
        table.identity = table.identity || term.value == Value::identity;
        table.terms[count++] = term;
      }
      if (!y.empty()) table.y[e] = y[plan.begin + e];
      if (!grad.empty()) table.grad[e] = grad[plan.begin + e];
    }
    table.first_term[table.edges] = count;
    if (y.empty() && count == 0) return;
    const dim3 grid(static_cast<unsigned>(tiling.tiles()), ceil_div(table.channels, kChannels));
    launch(y.empty() ? reduce_kernel<S> : combine_kernel<S>, grid, kThreads, 0, table);
  }

  // partial: [splits, size]
  void convolutions_backward(const std::vector<Convolution<S>>& list, const std::vector<Unit>& units, int splits,
                             bool parameters, A* partial, int64_t size) const {
    for (size_t from = 0; from < units.size(); from += kMaxUnits) {
      ConvolutionBackwardCall<S> table;
      table.tiling = tiling;
      table.eps = call.eps;
      table.splits = splits;
      table.parameters = parameters;
      table.partial = partial;
      table.partial_size = size;
      table.count = static_cast<int32_t>(std::min<size_t>(kMaxUnits, units.size() - from));
      std::copy_n(units.begin() + from, table.count, table.units);
      std::copy(list.begin(), list.end(), table.convolutions);
      for (const Convolution<S>& conv : list) table.patch = std::max(table.patch, patch_size(conv, tiling));
      for_rows(rows_of(list), [&]<int M>() {
        for_arithmetic([&]<Arithmetic arithmetic>() {
          launch(convolution_backward_kernel<S, M, arithmetic>, dim3(static_cast<unsigned>(table.count * splits)),
                 kThreads, shared_bytes<ConvolutionBackwardShared<S, M, arithmetic>>(table.patch), table);
        });
      });
    }
  }

  static int transposed_patch(const Depthwise<S>& conv, const Tiling& of) {
    return Patch::of_outputs(of, conv.kernel, conv.dilation, conv.kernel / 2 * conv.dilation, conv.stride).per_channel;
  }

  void hidden_backward(const std::vector<Depthwise<S>>& list) const {
    HiddenBackwardCall<S> table;
    table.tiling = tiling;
    table.eps = call.eps;
    table.channels = static_cast<int32_t>(call.shape.out_c);
    table.count = static_cast<int32_t>(list.size());
    std::copy(list.begin(), list.end(), table.convolutions);
    int patch = 0;
    for (const Depthwise<S>& conv : list) patch = std::max(patch, transposed_patch(conv, tiling));
    launch(hidden_backward_kernel<S>,
           dim3(static_cast<unsigned>(tiling.tiles() * table.count), ceil_div(table.channels, kChannels)), kThreads,
           sizeof(A) * kChannels * (49 + patch), table);
  }

  void input_backward(const Plan<S>& plan, const std::vector<Depthwise<S>>& depthwise,
                      const std::vector<View<S>>& dense, const std::vector<View<const S>>& grad, const View<S>& grad_x,
                      bool accumulate) const {
    InputBackwardCall<S> table;
    table.tiling = input_tiling;
    table.eps = call.eps;
    table.channels = static_cast<int32_t>(call.shape.c);
    table.out_h = static_cast<int32_t>(call.shape.out_h()), table.out_w = static_cast<int32_t>(call.shape.out_w());
    table.stride = static_cast<int32_t>(call.shape.stride);
    table.accumulate = accumulate;
    table.x = call.x;
    table.grad_x = grad_x;
    int64_t shared = 1;
    for (const Depthwise<S>& conv : depthwise) {
      table.depthwise[table.depthwise_count++] = conv;
      shared = std::max<int64_t>(shared, 49 + transposed_patch(conv, input_tiling));
    }
    shared *= sizeof(A);
    for (const View<S>& view : dense) table.dense[table.dense_count++] = view.read_only();
    for (const auto& planned : plan.terms) {
      if (planned.term.value == Value::convolution) continue;
      table.pools = table.pools || planned.term.value != Value::identity;
      table.terms[table.term_count++] = planned.term;
    }
    for (int64_t e = plan.begin; e < plan.end; ++e) table.grad[e - plan.begin] = grad[e];
    if (table.pools)
      shared = std::max<int64_t>(shared, pool_windows(input_tiling, table.stride) * (2 * sizeof(A) + sizeof(int)));
    launch(input_backward_kernel<S>,
           dim3(static_cast<unsigned>(input_tiling.tiles()), ceil_div(table.channels, kChannels)), kThreads,
           static_cast<size_t>(kChannels * shared), table);
  }

  // grad: one pointer for each parameter of the plan; begins: where each lies in a split's results
  void parameters(const std::vector<S*>& grad, const std::vector<int64_t>& begins, const A* partial, int splits) const {
    for (size_t from = 0; from < grad.size(); from += kMaxRows) {
      ParametersCall<S> table;
      table.partial = partial;
      table.size = begins.back();
      table.splits = splits;
      table.count = static_cast<int32_t>(std::min<size_t>(kMaxRows, grad.size() - from));
      std::copy_n(begins.begin() + from, table.count + 1, table.begin);
      std::copy_n(grad.begin() + from, table.count, table.grad);
      const int64_t size = table.begin[table.count] - table.begin[0];
      if (size > 0)
        launch(parameters_kernel<S>, dim3(static_cast<unsigned>((size + kThreads - 1) / kThreads)), kThreads, 0, table);
    }
  }
};

// Tables travel as kernel arguments: up to 32,764 bytes of them since CUDA 12.1, on sm_70 and newer.
static_assert(sizeof(ConvolutionCall<double>) <= 32764 && sizeof(ConvolutionBackwardCall<double>) <= 32764);
static_assert(sizeof(TermsCall<double>) <= 32764 && sizeof(InputBackwardCall<double>) <= 32764);
static_assert(sizeof(SumsCall<double>) <= 32764 && sizeof(HiddenBackwardCall<double>) <= 32764);

}  // namespace amended_darts::mixed
