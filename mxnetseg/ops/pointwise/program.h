// A short program that is run on every number of a map, a run of numbers at a time: what passes between its steps stays
// in the first-level cache.
#pragma once

#include <string>
#include <vector>

#include "../simd.h"

namespace mxnetseg {
namespace cpu {

enum class Function { kAdd, kSub, kMul, kDiv, kMax, kMin, kSigmoid, kGelu };

// An input, the result of an earlier step, or a number.
struct Operand {
  enum Kind { kInput, kResult, kNumber } kind;
  int index;
  float number;
};

struct Step {
  Function function;
  std::vector<Operand> operands;  // one or two
};

typedef std::vector<Step> Program;

constexpr int kRun = 512;  // numbers at a time

// Numbers in a row, or one that stands for all of them.
struct Numbers {
  const float* data;
  bool one;
};

template <typename F>
inline void each(F function, const Numbers& a, const Numbers& b, int count, float* to) {
  if (a.one && b.one) {
    to[0] = function(a.data[0], b.data[0]);
  } else if (a.one) {
    const float left = a.data[0];
#pragma omp simd
    for (int i = 0; i < count; ++i) to[i] = function(left, b.data[i]);
  } else if (b.one) {
    const float right = b.data[0];
#pragma omp simd
    for (int i = 0; i < count; ++i) to[i] = function(a.data[i], right);
  } else {
#pragma omp simd
    for (int i = 0; i < count; ++i) to[i] = function(a.data[i], b.data[i]);
  }
}

inline float sigmoid(float x) {
  const float power = exponential(x < 0 ? x : -x), share = 1 / (1 + power);
  return x < 0 ? power * share : share;
}

// x times the share of a normal distribution below x. The error function is Abramowitz and Stegun's 7.1.26, whose error is
// below 1.5e-7.
inline float gelu(float x) {
  const float z = std::abs(x) * 0.70710678f, t = 1 / (1 + 0.3275911f * z);
  const float sum = ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t;
  const float beyond = 0.5f * sum * exponential(-z * z);
  return x * (x < 0 ? beyond : 1 - beyond);
}

// A NaN on the left stays one.
inline void apply(Function function, const Numbers& a, const Numbers& b, int count, float* to) {
  switch (function) {
    case Function::kAdd: return each([](float x, float y) { return x + y; }, a, b, count, to);
    case Function::kSub: return each([](float x, float y) { return x - y; }, a, b, count, to);
    case Function::kMul: return each([](float x, float y) { return x * y; }, a, b, count, to);
    case Function::kDiv: return each([](float x, float y) { return x / y; }, a, b, count, to);
    case Function::kMax: return each([](float x, float y) { return x < y ? y : x; }, a, b, count, to);
    case Function::kMin: return each([](float x, float y) { return x > y ? y : x; }, a, b, count, to);
    case Function::kSigmoid: return each([](float x, float) { return sigmoid(x); }, a, {&a.data[0], true}, count, to);
    case Function::kGelu: return each([](float x, float) { return gelu(x); }, a, {&a.data[0], true}, count, to);
  }
}

// One run of `count` numbers; scratch: kRun numbers for each step but the last.
inline void run(const Program& program, const std::vector<Numbers>& inputs, int count, float* scratch, float* out) {
  std::vector<Numbers> results;
  results.reserve(program.size());
  const auto value = [&](const Operand& operand) {
    if (operand.kind == Operand::kInput) return inputs[operand.index];
    if (operand.kind == Operand::kResult) return results[operand.index];
    return Numbers{&operand.number, true};
  };
  for (const Step& step : program) {
    const Numbers a = value(step.operands.front()), b = value(step.operands.back());
    float* const to = results.size() + 1 == program.size() ? out : scratch + results.size() * kRun;
    apply(step.function, a, b, count, to);
    results.push_back({to, a.one && b.one});
  }
  if (results.back().one) std::fill_n(out, count, out[0]);
}

}  // namespace cpu
}  // namespace mxnetseg
