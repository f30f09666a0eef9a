// The units of work that convolution_backward divides its convolutions into. Host code, torch-free.
#pragma once

#include <algorithm>
#include <vector>

#include "call.h"

namespace amended_darts::mixed {

// A unit of every convolution of a launch; a block works on one, for every `splits`-th tile.
struct Unit {
  int16_t convolution = 0;
  int16_t tap = 0;                     // dense
  int32_t first_row = 0, end_row = 0;  // channels of the result
  int32_t first_column = 0;            // M channels of the source from here
  bool input = false;                  // gradient of the depthwise output (and weights), or, dense, of z
  bool weights = false;                // gradient of the 1x1 or dense weights
};

inline constexpr int kMaxUnits = 256;  // of one launch's table

// M of the product in which the channels of all of them lie.
template <typename S>
int rows_of(const std::vector<Convolution<S>>& list) {
  int64_t most = 16;
  for (const Convolution<S>& conv : list) most = std::max<int64_t>(most, std::max(conv.in, conv.out));
  return rows_for<wide_t<S>>(most);
}

// Appends the units of one convolution: the whole of it where its channels fit in `rows`, otherwise parts.
template <typename S>
void add_units(const Convolution<S>& conv, int index, int rows, bool input, bool weights, std::vector<Unit>& units) {
  Unit unit;
  unit.convolution = static_cast<int16_t>(index);
  unit.end_row = conv.out;
  if (conv.taps == Taps::depthwise && conv.out <= rows) {
    unit.input = input, unit.weights = weights;
    units.push_back(unit);
    return;
  }
  if (conv.taps == Taps::depthwise && input)
    for (unit.first_column = 0; unit.first_column < conv.in; unit.first_column += rows) {
      unit.input = true;
      units.push_back(unit);
    }
  unit.input = false;
  for (int row = 0; row < conv.out; row += rows) {
    unit.first_row = row, unit.end_row = std::min(row + rows, conv.out);
    unit.first_column = 0;
    if (conv.taps != Taps::depthwise && input) {
      unit.input = true;
      units.push_back(unit);
      unit.input = false;
    }
    unit.weights = weights;
    for (unit.tap = 0; weights && unit.tap < conv.num_taps(); ++unit.tap)
      for (unit.first_column = 0; unit.first_column < conv.in; unit.first_column += rows) units.push_back(unit);
    unit.weights = false;
    unit.tap = 0;
  }
}

// input: gradients of what the dense ones convolve are wanted; depthwise_input: of the depthwise outputs.
template <typename S>
std::vector<Unit> units_of(const std::vector<Convolution<S>>& list, bool input, bool depthwise_input, bool weights) {
  std::vector<Unit> units;
  for (size_t i = 0; i < list.size(); ++i)
    add_units(list[i], static_cast<int>(i), rows_of(list), list[i].taps == Taps::depthwise ? depthwise_input : input,
              weights, units);
  return units;
}

}  // namespace amended_darts::mixed
