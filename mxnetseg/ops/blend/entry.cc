// Not an operator of MXNet, for it adds to memory that MXNet does not manage: called by way of ctypes.

#include "blend.h"

using mxnetseg::cpu::Axis;
using mxnetseg::cpu::Enlarging;

// logits: (classes, height, width); size: those three, then height and width of the view, then of the sum.
// Rows and columns: the first pixel of the sum, how many follow, (2, count) pixels of the view and their weights.
extern "C" void mxnetseg_blend(float* total, const float* logits, const int* size, int align_corners, int softmax,
                               int first_row, int rows, const int32_t* row_index, const float* row_weight,
                               int first_column, int columns, const int32_t* column_index, const float* column_weight,
                               int threads) {
  const Enlarging g{1, size[0], size[1], size[2], size[3], size[4], align_corners != 0};
  const Axis down{rows, {row_index, row_index + rows}, {row_weight, row_weight + rows}};
  const Axis across{columns, {column_index, column_index + columns}, {column_weight, column_weight + columns}};
  const int64_t line = size[6], plane = line * size[5];
  mxnetseg::cpu::blend(g, logits, softmax != 0, down, across, total + first_row * line + first_column, plane, line,
                       threads);
}
