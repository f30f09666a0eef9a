// Sums over the batch, in double and in an order fixed by the shapes: first within a block of images, then across
// blocks.
#pragma once

#include <cstdint>

#include "../../common/parallel.h"

namespace amended_darts::mixed::fused {

// The batch cut into blocks, whose number does not depend on the threads.
struct Blocks {
  int64_t images, count;

  Blocks(int64_t images_, int64_t wanted) : images(images_), count(images_ < wanted ? images_ : wanted) {}
  int64_t begin(int64_t block) const { return block * images / count; }
  int64_t end(int64_t block) const { return begin(block + 1); }
};

// Running mean and sum of squared deviations of one BatchNorm's input, per block: [blocks][2][lanes].
struct Moments {
  double* data = nullptr;
  int64_t lanes = 0;

  double* mean(int64_t block) const { return data + 2 * block * lanes; }
  double* m2(int64_t block) const { return mean(block) + lanes; }
  // Takes in another `pixels` values, `before` being there already; lanes [first, first + count).
  void merge(int64_t block, int64_t first, int64_t count, int64_t before, int64_t pixels, const double* other_mean,
             const double* other_m2) const;
};

// The batch's mean and biased variance, images of `pixels` pixels.
void batch_statistics(const Moments& moments, const Blocks& blocks, int64_t pixels, int64_t channels, float* mean,
                      float* var);

// One sum per channel for each row: a row is a block or, where images are weighted one by one, an image.
struct RowSums {
  double* data = nullptr;
  int64_t lanes = 0;

  double* at(int64_t row, int64_t lane = 0) const { return data + row * lanes + lane; }
};

}  // namespace amended_darts::mixed::fused
