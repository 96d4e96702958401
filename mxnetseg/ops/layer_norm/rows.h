// Layer normalisation of rows, and its gradients.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "../simd.h"

namespace mxnetseg {
namespace cpu {

// Sums over rows are made of so many parts, whatever the number of threads, so that they have the same bits.
constexpr int64_t kParts = 64;

template <typename T>
struct RowStatistics {
  RowStatistics(const T* x, int64_t size, T epsilon) {
    T total = 0, squares = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t i = 0; i < size; ++i) total += x[i];
    mean = total / size;
#pragma omp simd reduction(+ : squares)
    for (int64_t i = 0; i < size; ++i) squares += (x[i] - mean) * (x[i] - mean);
    scale = 1 / std::sqrt(squares / size + epsilon);
  }
  T mean, scale;
};

template <typename T>
void layer_norm(const T* x, const T* gamma, const T* beta, int64_t rows, int64_t size, T epsilon, T* y) {
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < rows; ++row) {
    const T* const from = x + row * size;
    T* const to = y + row * size;
    const RowStatistics<T> of(from, size, epsilon);
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) to[i] = (from[i] - of.mean) * of.scale * gamma[i] + beta[i];
  }
}

template <typename T>
int64_t layer_norm_workspace(int64_t size) {
  return 2 * kParts * size;
}

template <typename T>
void layer_norm_gradients(const T* of_y, const T* x, const T* gamma, int64_t rows, int64_t size, T epsilon, T* of_x,
                          T* of_gamma, T* of_beta, T* workspace) {
  std::fill(workspace, workspace + layer_norm_workspace<T>(size), T(0));
#pragma omp parallel for schedule(dynamic)
  for (int64_t part = 0; part < kParts; ++part) {
    T *const gammas = workspace + 2 * part * size, *const betas = gammas + size;
    for (int64_t row = rows * part / kParts; row < rows * (part + 1) / kParts; ++row) {
      const T *const from = x + row * size, *const given = of_y + row * size;
      T* const to = of_x + row * size;
      const RowStatistics<T> of(from, size, epsilon);
      T total = 0, product = 0;  // of the gradient of the normed row, and with that row
#pragma omp simd reduction(+ : total, product)
      for (int64_t i = 0; i < size; ++i) {
        const T normed = (from[i] - of.mean) * of.scale, gradient = given[i] * gamma[i];
        total += gradient;
        product += gradient * normed;
        gammas[i] += given[i] * normed;
        betas[i] += given[i];
      }
      total /= size;
      product /= size;
#pragma omp simd
      for (int64_t i = 0; i < size; ++i)
        to[i] = of.scale * (given[i] * gamma[i] - total - (from[i] - of.mean) * of.scale * product);
    }
  }
  for (int64_t i = 0; i < size; ++i) {
    T gammas = 0, betas = 0;
    for (int64_t part = 0; part < kParts; ++part) {
      gammas += workspace[2 * part * size + i];
      betas += workspace[(2 * part + 1) * size + i];
    }
    of_gamma[i] = gammas;
    of_beta[i] = betas;
  }
}

}  // namespace cpu
}  // namespace mxnetseg
