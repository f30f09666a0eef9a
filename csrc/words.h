// Tensors in words, for the sentences of errors. Each is a reference that is put in words only when it is written to a
// stream: checks pass thousands of tensors, and building text for those that fit would take longer than the kernels.
#pragma once

#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <ostream>

namespace amended_darts::words {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// The names that PyTorch prints, not those of the C++ enum.
inline const char* dtype(ScalarType type) {
  switch (type) {
    case ScalarType::Float: return "float32";
    case ScalarType::Double: return "float64";
    case ScalarType::Half: return "float16";
    case ScalarType::BFloat16: return "bfloat16";
    case ScalarType::Long: return "int64";
    case ScalarType::Int: return "int32";
    case ScalarType::Bool: return "bool";
    case ScalarType::Byte: return "uint8";
    default: return torch::headeronly::toString(type);
  }
}

// [2, 3]
template <typename Sizes>
struct List {
  const Sizes& sizes;
};
template <typename Sizes>
List(const Sizes&) -> List<Sizes>;

template <typename Sizes>
std::ostream& operator<<(std::ostream& out, const List<Sizes>& list) {
  out << '[';
  for (size_t i = 0; i < list.sizes.size(); ++i) out << (i ? ", " : "") << list.sizes[i];
  return out << ']';
}

// The tensor's shape.
struct Shape {
  const Tensor& t;
};
inline std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  const auto sizes = shape.t.sizes();
  return out << List{sizes};
}

// cpu, cuda:0
struct Device {
  const Tensor& t;
};
inline std::ostream& operator<<(std::ostream& out, const Device& device) {
  if (device.t.is_cpu()) return out << "cpu";
  return out << (device.t.is_cuda() ? "cuda:" : "device ") << static_cast<int>(device.t.get_device_index());
}

// float32 on cpu
struct Kind {
  const Tensor& t;
};
inline std::ostream& operator<<(std::ostream& out, const Kind& kind) {
  return out << dtype(kind.t.scalar_type()) << " on " << Device{kind.t};
}

}  // namespace amended_darts::words
