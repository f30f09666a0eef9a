// amended_darts_ext._C: what the library was built for, and its table of candidates. Links neither torch nor the
// library.
#include <pybind11/pybind11.h>

#include <string>

#include "common/candidates.h"

namespace py = pybind11;

namespace {

py::dict build_info() {
  py::dict info;
  info["version"] = AMENDED_DARTS_VERSION;
  info["torch"] = BUILT_TORCH;
  info["compiler"] = BUILT_COMPILER;
  info["cuda"] = BUILT_CUDA;                              // empty: built without CUDA kernels
  info["cuda_architectures"] = BUILT_ARCHITECTURES;       // CMake's list, e.g. 80-real, 90
  info["cuda_disabled_because"] = CUDA_DISABLED_BECAUSE;  // empty with CUDA
  return info;
}

// name -> (kernel, dilation, convolution weights and norms at stride 1, the same at stride 2)
py::dict candidates() {
  py::dict table;
  for (const auto& c : amended_darts::mixed::kCandidates)
    table[py::str(std::string(c.name))] =
        py::make_tuple(c.kernel, c.dilation, py::make_tuple(c.num_params(1), c.num_norms(1, true)),
                       py::make_tuple(c.num_params(2), c.num_norms(2, true)));
  return table;
}

}  // namespace

PYBIND11_MODULE(_C, m) {
  m.doc() = "How amended_darts_ext was built.";
  m.def("build_info", &build_info);
  m.def("candidates", &candidates);
}
