// One candidate of one edge: forward keeps what backward needs, one branch at a time.
#pragma once

#include <algorithm>
#include <vector>

#include "../../common/mixed_edges.h"
#include "convolution.h"
#include "norm.h"
#include "pool.h"

namespace amended_darts::mixed::plain {

template <typename T>
class Branch {
 public:
  // param, norm_row: of this candidate's first convolution weight in call.params and first row in mean, var, ...
  Branch(const Edges<T>& call, const Candidate& candidate, int64_t param, int64_t norm_row)
      : call_(call), shape_(call.shape), candidate_(candidate), param_(param), row_(norm_row) {}

  // out [N, C', OH, OW], normalised with this candidate's rows of mean and var [E, B, C'].
  void forward(const T* mean, const T* var) { run(mean, var, nullptr, nullptr); }

  // The same with batch statistics, written to those rows first.
  void measure_and_forward(T* mean, T* var) { run(mean, var, mean, var); }

  // From grad, the gradient of out (destroyed): adds to grad_x [N, C, H, W] and writes this candidate's rows of the
  // call's other gradients, each only where it is asked for.
  void backward(std::vector<T>& grad, const Backward<T>& call) {
    const T* x = call_.x;
    switch (candidate_.kind) {
      case Kind::none: return;
      case Kind::max_pool:
      case Kind::avg_pool:
        if (call_.pool_norm) norm_backward(0, grad, call);
        if (call.grad_x) pool_backward(shape_, candidate_.kind, x, grad.data(), call.grad_x);
        return;
      case Kind::skip:
        if (shape_.stride == 1) {
          if (call.grad_x)
            for (int64_t i = 0; i < shape_.in_size(); ++i) call.grad_x[i] += grad[i];
          return;
        }
        [[fallthrough]];
      case Kind::dense: {
        norm_backward(0, grad, call);
        std::vector<T> grad_input(call.grad_x ? shape_.in_size() : 0, T(0));
        for_each_convolution([&](const Convolution& conv, int64_t param, int64_t offset) {
          weight_gradient(conv, grad.data() + offset, halves_[0].input.data(), param, call);
          if (call.grad_x)
            convolution_backward_input(conv, grad.data() + offset, out_sample(), weight(param), grad_input.data(),
                                       true);
        });
        if (call.grad_x) add_through_relu(halves_[0].input, grad_input, call.grad_x);
        return;
      }
      case Kind::depthwise:
        for (int64_t h = candidate_.halves - 1; h >= 0; --h) {
          const Convolution dw = depthwise(h), pw = pointwise();
          Half& half = halves_[h];
          norm_backward(h, grad, call);
          weight_gradient(pw, grad.data(), half.hidden.data(), 2 * h + 1, call);
          std::vector<T> grad_hidden(shape_.out_size());
          convolution_backward_input(pw, grad.data(), out_sample(), weight(2 * h + 1), grad_hidden.data(), false);
          weight_gradient(dw, grad_hidden.data(), half.input.data(), 2 * h, call);
          if (h == 0 && !call.grad_x) return;
          std::vector<T> grad_input(half.input.size());
          convolution_backward_input(dw, grad_hidden.data(), out_sample(), weight(2 * h), grad_input.data(), false);
          if (h == 0) return add_through_relu(half.input, grad_input, call.grad_x);
          grad.assign(grad_input.size(), T(0));
          add_through_relu(half.input, grad_input, grad.data());
        }
    }
  }

  std::vector<T> out;  // [N, C', OH, OW], normalised

 private:
  struct Half {
    std::vector<T> input;   // after ReLU
    std::vector<T> hidden;  // after the depthwise convolution
    std::vector<T> raw;     // before BN
  };

  // new_mean and new_var: where batch statistics go, null where mean and var are given.
  void run(const T* mean, const T* var, T* new_mean, T* new_var) {
    halves_.clear();
    const T* x = call_.x;
    switch (candidate_.kind) {
      case Kind::none: out.assign(shape_.out_size(), T(0)); return;
      case Kind::max_pool:
      case Kind::avg_pool:
        out.resize(shape_.out_size());
        pool_forward(shape_, candidate_.kind, x, out.data());
        if (!call_.pool_norm) return;
        halves_.emplace_back();
        normalise(0, mean, var, new_mean, new_var);
        return;
      case Kind::skip:
        if (shape_.stride == 1) {
          out.assign(x, x + shape_.in_size());
          return;
        }
        [[fallthrough]];
      case Kind::dense: {
        Half& half = add_half(x, shape_.in_size());
        out.resize(shape_.out_size());
        for_each_convolution([&](const Convolution& conv, int64_t param, int64_t offset) {
          convolution_forward(conv, half.input.data(), weight(param), out.data() + offset, out_sample());
        });
        normalise(0, mean, var, new_mean, new_var);
        return;
      }
      case Kind::depthwise:
        for (int64_t h = 0; h < candidate_.halves; ++h) {
          const Convolution dw = depthwise(h), pw = pointwise();
          Half& half = h == 0 ? add_half(x, shape_.in_size()) : add_half(out.data(), shape_.out_size());
          half.hidden.resize(shape_.out_size());
          out.resize(shape_.out_size());
          convolution_forward(dw, half.input.data(), weight(2 * h), half.hidden.data(), out_sample());
          convolution_forward(pw, half.hidden.data(), weight(2 * h + 1), out.data(), out_sample());
          normalise(h, mean, var, new_mean, new_var);
        }
    }
  }

  int64_t out_sample() const { return shape_.out_c * shape_.out_plane(); }
  const T* weight(int64_t i) const { return call_.params[param_ + i]; }

  Half& add_half(const T* from, int64_t size) {
    Half& half = halves_.emplace_back();
    half.input.resize(size);
    for (int64_t i = 0; i < size; ++i) half.input[i] = relu(from[i]);
    return half;
  }

  void add_through_relu(const std::vector<T>& input, const std::vector<T>& grad, T* to) const {
    for (size_t i = 0; i < grad.size(); ++i) to[i] += relu_grad(input[i], grad[i]);
  }

  Norm<T> norm(int64_t h) const {
    const int64_t at = (row_ + h) * shape_.out_c;
    return {shape_.n,
            shape_.out_c,
            shape_.out_plane(),
            call_.eps,
            call_.batch_stats,
            call_.bn_weight ? call_.bn_weight + at : nullptr,
            call_.bn_bias ? call_.bn_bias + at : nullptr};
  }
  void normalise(int64_t h, const T* mean, const T* var, T* new_mean, T* new_var) {
    const int64_t at = (row_ + h) * shape_.out_c;
    halves_[h].raw = out;
    if (new_mean) norm(h).statistics(out.data(), new_mean + at, new_var + at);
    norm(h).apply(mean + at, var + at, out.data());
  }
  void norm_backward(int64_t h, std::vector<T>& grad, const Backward<T>& call) const {
    const int64_t at = (row_ + h) * shape_.out_c;
    norm(h).backward(call.mean + at, call.var + at, halves_[h].raw.data(), grad.data(),
                     call.grad_bn_weight ? call.grad_bn_weight + at : nullptr,
                     call.grad_bn_bias ? call.grad_bn_bias + at : nullptr);
  }

  void weight_gradient(const Convolution& conv, const T* grad, const T* input, int64_t param,
                       const Backward<T>& call) const {
    if (!call.grad_params.empty())
      convolution_backward_weight(conv, grad, out_sample(), input, call.grad_params[param_ + param]);
  }

  Convolution depthwise(int64_t h) const {
    const bool first = h == 0;
    return {shape_.n,
            shape_.c,
            first ? shape_.h : shape_.out_h(),
            first ? shape_.w : shape_.out_w(),
            shape_.c,
            shape_.out_h(),
            shape_.out_w(),
            shape_.c,
            candidate_.kernel,
            first ? shape_.stride : 1,
            candidate_.dilation,
            candidate_.padding()};
  }
  Convolution pointwise() const {
    const int64_t h = shape_.out_h(), w = shape_.out_w();
    return {shape_.n, shape_.c, h, w, shape_.c, h, w, 1, 1, 1, 1, 0};
  }
  // The dense convolutions that fill one output: body(conv, param, offset of its first channel in a sample).
  template <typename Body>
  void for_each_convolution(const Body& body) const {
    Convolution conv{
        shape_.n, shape_.c,          shape_.h,      shape_.w, shape_.out_c,        shape_.out_h(), shape_.out_w(),
        1,        candidate_.kernel, shape_.stride, 1,        candidate_.padding()};
    if (candidate_.kind == Kind::dense) return body(conv, 0, 0);
    conv.out_c = shape_.out_c / 2;
    if (conv.out_c > 0) body(conv, 0, 0);
    const int64_t offset = conv.out_c * shape_.out_plane();
    conv.out_c = shape_.out_c - conv.out_c;
    conv.padding = -1;
    body(conv, 1, offset);
  }

  const Edges<T>& call_;
  const Shape& shape_;
  const Candidate& candidate_;
  int64_t param_, row_;
  std::vector<Half> halves_;
};

}  // namespace amended_darts::mixed::plain
