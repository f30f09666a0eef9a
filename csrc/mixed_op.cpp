// Schemas of the mixed-op operators and the checks every backend makes. Autograd, autocast, fakes and the composite
// mixed_op are registered in amended_darts_ext/_mixed_op.py.
#include "mixed_op.h"

#include <array>

#include "words.h"

namespace amended_darts {
namespace {

bool same_device(const Tensor& a, const Tensor& b) { return a.device() == b.device(); }

template <size_t R>
bool has_shape(const Tensor& t, const std::array<int64_t, R>& expected) {
  if (t.dim() != static_cast<int64_t>(R)) return false;
  for (size_t i = 0; i < R; ++i)
    if (t.size(i) != expected[i]) return false;
  return true;
}

struct ParamShape {
  const mixed::Candidate* candidate;
  std::array<int64_t, 4> size;
};

// Shapes of one candidate's convolution weights, in forward order.
void append_param_shapes(const mixed::Candidate& candidate, const mixed::Shape& shape,
                         std::vector<ParamShape>& shapes) {
  const int64_t c = shape.c, out = shape.out_c, k = candidate.kernel;
  const auto add = [&](int64_t filters, int64_t inputs, int64_t size) {
    shapes.push_back({&candidate, {filters, inputs, size, size}});
  };
  switch (candidate.kind) {
    case mixed::Kind::depthwise:
      for (int h = 0; h < candidate.halves; ++h) {
        add(c, 1, k);
        add(c, c, 1);
      }
      return;
    case mixed::Kind::dense: add(out, c, k); return;
    case mixed::Kind::skip:
      if (shape.stride == 1) return;
      add(out / 2, c, 1);
      add(out - out / 2, c, 1);
      return;
    default: return;
  }
}

// The candidate that decides how many channels y has: one that keeps those of x, or else the first one, whose weights
// say so.
const mixed::Candidate& decider(const MixedEdgesSizes& sizes) {
  for (const auto& candidate : sizes.candidates)
    if (!candidate.sets_channels(sizes.shape.stride)) return candidate;
  return sizes.candidates.front();
}

// Channels of y; those of x where weights do not tell, so that the check of their shapes finds them wrong.
int64_t out_channels(const MixedEdgesArguments& a, const MixedEdgesSizes& sizes) {
  const mixed::Candidate& first = decider(sizes);
  if (!first.sets_channels(sizes.shape.stride)) return sizes.shape.c;
  int64_t channels = 0;
  for (int i = 0; i < first.num_params(sizes.shape.stride); ++i)
    channels += a.params[i].dim() == 4 ? a.params[i].size(0) : 0;
  return channels > 0 ? channels : sizes.shape.c;
}

void check_params(const MixedEdgesArguments& a, MixedEdgesSizes& sizes, const char* op) {
  const size_t count = sizes.params_per_edge;
  check(a.params.size() == count * sizes.edges, op, ": params must hold ", count * sizes.edges,
        " convolution weights (", sizes.edges, " edges of ", count, "), got ", a.params.size());
  sizes.shape.out_c = out_channels(a, sizes);
  std::vector<ParamShape> expected;
  for (const auto& candidate : sizes.candidates) append_param_shapes(candidate, sizes.shape, expected);
  for (size_t i = 0; i < a.params.size(); ++i) {
    const Tensor& param = a.params[i];
    const auto& [candidate, want] = expected[i % count];
    if (!has_shape(param, want)) {
      const mixed::Candidate& first = decider(sizes);
      const bool other = candidate != &first && candidate->sets_channels(sizes.shape.stride);
      check(false, op, ": params[", i, "] must be ", words::List{want}, other ? " (as many channels as " : "",
            other ? first.name : "", other ? " gives)" : "", ", got ", words::Shape{param});
    }
    check(param.scalar_type() == a.x.scalar_type(), op, ": params[", i, "] must have the dtype of x (",
          words::dtype(a.x.scalar_type()), "), got ", words::dtype(param.scalar_type()));
    check(same_device(param, a.x), op, ": params[", i, "] must be on the device of x (", words::Device{a.x}, "), got ",
          words::Device{param});
  }
}

void check_norm_argument(const std::optional<Tensor>& t, const char* argument, const MixedEdgesSizes& sizes,
                         const char* op) {
  if (!t.has_value()) return;
  const std::array<int64_t, 3> want{sizes.edges, sizes.norms_per_edge, sizes.shape.out_c};
  check(has_shape(*t, want), op, ": ", argument, " must be [E, B, C'] = ", words::List{want}, ", got ",
        words::Shape{*t});
}

// weights, statistics and BN arguments: float32, or float64 with x of float64.
void check_accumulate(const std::optional<Tensor>& t, const char* argument, const Tensor& x, const char* op) {
  if (!t.has_value()) return;
  const ScalarType want = accumulate_type(x.scalar_type());
  check(t->scalar_type() == want, op, ": ", argument, " must be ", words::dtype(want), " where x is ",
        words::dtype(x.scalar_type()), ", got ", words::dtype(t->scalar_type()));
  check(same_device(*t, x), op, ": ", argument, " must be on the device of x (", words::Device{x}, "), got ",
        words::Device{*t});
}

}  // namespace

ScalarType accumulate_type(ScalarType x) { return x == ScalarType::Double ? ScalarType::Double : ScalarType::Float; }

MixedEdgesSizes check_mixed_edges(const MixedEdgesArguments& a, const char* op, bool batch_stats) {
  const Tensor& x = a.x;
  check(x.dim() == 4, op, ": x must have 4 dimensions [N, C, H, W], got ", words::Shape{x});
  const ScalarType type = x.scalar_type();
  check(type == ScalarType::Float || type == ScalarType::Double || type == ScalarType::BFloat16 ||
            type == ScalarType::Half,
        op, ": x must be float32, float64, bfloat16 or float16, got ", words::dtype(type));

  MixedEdgesSizes sizes;
  check(!a.candidates.empty(), op, ": candidates must name at least one operation, got an empty list");
  for (const std::string& name : a.candidates) {
    const mixed::Candidate* candidate = mixed::find_candidate(name);
    if (candidate == nullptr) {
      std::string known;
      for (const auto& each : mixed::kCandidates) known += (known.empty() ? "" : ", ") + std::string(each.name);
      check(false, op, ": unknown candidate '", name, "' in candidates; expected one of ", known);
    }
    sizes.candidates.push_back(*candidate);
  }
  check(a.stride == 1 || a.stride == 2, op, ": stride must be 1 or 2, got ", a.stride);
  sizes.shape = {x.size(0), x.size(1), x.size(2), x.size(3), a.stride, x.size(1)};
  check(sizes.shape.c > 0 && sizes.shape.in_plane() > 0, op, ": x must have at least one channel and one pixel, got ",
        words::Shape{x});

  const Tensor& weights = a.weights;
  const int64_t count = static_cast<int64_t>(a.candidates.size());
  const bool shared = weights.dim() == 2 && weights.size(1) == count;
  sizes.per_sample = weights.dim() == 3 && weights.size(1) == sizes.shape.n && weights.size(2) == count;
  check((shared || sizes.per_sample) && weights.size(0) > 0, op,
        ": weights must be [E, K] or, one row per sample, [E, N, K] with N = ", sizes.shape.n, " and K = ", count,
        " candidates, got ", words::Shape{weights});
  sizes.edges = weights.size(0);
  sizes.params_per_edge = mixed::num_params(sizes.candidates, a.stride);
  sizes.norms_per_edge = mixed::num_norms(sizes.candidates, a.stride, a.pool_norm);
  check_params(a, sizes, op);

  check(a.mean.has_value() == a.var.has_value(), op,
        ": running_mean and running_var must be given together, got one of them");
  check(a.bn_weight.has_value() == a.bn_bias.has_value(), op,
        ": bn_weight and bn_bias must be given together, got one of them");
  check_accumulate(weights, "weights", x, op);
  const std::array<std::pair<const char*, const std::optional<Tensor>*>, 4> norm_arguments{
      {{"running_mean", &a.mean}, {"running_var", &a.var}, {"bn_weight", &a.bn_weight}, {"bn_bias", &a.bn_bias}}};
  for (const auto& [argument, t] : norm_arguments) {
    check_norm_argument(*t, argument, sizes, op);
    check_accumulate(*t, argument, x, op);
  }

  const mixed::Shape& s = sizes.shape;
  check(!batch_stats || sizes.norms_per_edge == 0 || s.n * s.out_plane() != 1, op,
        ": expected more than 1 value per channel when training, got output size [", s.n, ", ", s.out_c, ", ",
        s.out_h(), ", ", s.out_w(), "]");
  return sizes;
}

void check_grad_y(const std::vector<Tensor>& grad_y, const Tensor& x, const MixedEdgesSizes& sizes) {
  const mixed::Shape& s = sizes.shape;
  const char* op = "_mixed_edges_backward";
  check(static_cast<int64_t>(grad_y.size()) == sizes.edges, op, ": grad_y must hold ", sizes.edges, " tensors, got ",
        grad_y.size());
  const std::array<int64_t, 4> want{s.n, s.out_c, s.out_h(), s.out_w()};
  for (const Tensor& grad : grad_y)
    check(has_shape(grad, want) && grad.scalar_type() == x.scalar_type() && same_device(grad, x), op,
          ": each of grad_y must be ", words::List{want}, " with x's dtype and device, got ", words::Shape{grad},
          " of ", words::dtype(grad.scalar_type()), " on ", words::Device{grad});
}

bool is_channels_last(const Tensor& x) {
  if (x.is_contiguous()) return false;
  const int64_t c = x.size(1), h = x.size(2), w = x.size(3);
  const int64_t expected[4] = {c * h * w, 1, w * c, c};
  for (int64_t d = 0; d < 4; ++d)
    if (x.size(d) != 1 && x.stride(d) != expected[d]) return false;
  return true;
}

MixedEdgesGradients make_gradients(const Tensor& grad_x, const Tensor& weights, const std::vector<Tensor>& params,
                                   const Tensor& statistics, bool affine, const Needs& need, bool empty_batch) {
  const auto like = [&](const Tensor& t, bool wanted) {
    Tensor gradient = wanted ? torch::stable::empty_like(t) : torch::stable::new_empty(t, {0});
    if (empty_batch) torch::stable::zero_(gradient);
    return gradient;
  };
  std::vector<Tensor> grad_params;
  for (const Tensor& param : params)
    if (need.params) grad_params.push_back(like(param, true));
  const bool norm = need.norm && affine;
  return {grad_x, like(weights, need.weights), std::move(grad_params), like(statistics, norm), like(statistics, norm)};
}

void fill_statistics(const MixedEdgesArguments& a, Tensor& mean, Tensor& var) {
  if (a.mean.has_value()) {
    torch::stable::copy_(mean, *a.mean);
    torch::stable::copy_(var, *a.var);
  } else {
    torch::stable::zero_(mean);
    torch::stable::zero_(var);
  }
}

STABLE_TORCH_LIBRARY_FRAGMENT(amended_darts, m) {
  m.def(
      "mixed_edges(Tensor x, Tensor weights, Tensor[] params, str[] candidates, SymInt stride=1, "
      "Tensor? running_mean=None, Tensor? running_var=None, Tensor? bn_weight=None, Tensor? bn_bias=None, "
      "float eps=1e-5, bool pool_norm=True, bool recompute=True, bool allow_tf32=False) "
      "-> (Tensor[] y, Tensor mean, Tensor var, Tensor[] saved)");
  m.def(
      "mixed_op(Tensor x, Tensor weights, Tensor[] params, str[] candidates, SymInt stride=1, "
      "Tensor? running_mean=None, Tensor? running_var=None, Tensor? bn_weight=None, Tensor? bn_bias=None, "
      "float eps=1e-5, bool pool_norm=True, bool recompute=True, bool allow_tf32=False) -> Tensor");
  // need_*: which gradients to compute; the others come back empty.
  m.def(
      "_mixed_edges_backward(Tensor[] grad_y, Tensor x, Tensor weights, Tensor[] params, str[] candidates, "
      "SymInt stride, Tensor mean, Tensor var, Tensor? bn_weight, Tensor? bn_bias, Tensor[] saved, float eps, "
      "bool pool_norm, bool batch_stats, bool allow_tf32, bool need_x, bool need_weights, bool need_params, "
      "bool need_norm) "
      "-> (Tensor grad_x, Tensor grad_weights, Tensor[] grad_params, Tensor grad_bn_weight, Tensor grad_bn_bias)");
}

}  // namespace amended_darts
