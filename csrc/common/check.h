// check(condition, parts...): raises the parts as one sentence. torch turns it into a RuntimeError; unlike
// STD_TORCH_CHECK the sentence is all there is, without the name and line of a source file.
#pragma once

#include <sstream>
#include <stdexcept>

namespace amended_darts {

template <typename... Parts>
void check(bool condition, const Parts&... parts) {
  if (condition) return;
  std::ostringstream sentence;
  (sentence << ... << parts);
  throw std::runtime_error(sentence.str());
}

}  // namespace amended_darts
