// Half precision for the emulation: storage and the two conversions (round to nearest, ties to even).
#pragma once

#include <stdint.h>
#include <string.h>

#include <cmath>

struct __half {
  uint16_t bits;
};

inline float __half2float(__half half) {
  const int exponent = half.bits >> 10 & 31, fraction = half.bits & 1023;
  const float sign = half.bits >> 15 ? -1.f : 1.f;
  if (exponent == 31) return fraction ? NAN : sign * INFINITY;
  return sign * (exponent ? std::ldexp(1024.f + fraction, exponent - 25) : std::ldexp((float)fraction, -24));
}

inline __half __float2half(float value) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const float size = std::fabs(value);
  if (std::isnan(value)) return {0x7fff};
  if (size >= 65520.f) return {(uint16_t)(sign | 0x7c00)};
  int exponent = size > 0 ? std::ilogb(size) : -14;
  if (exponent < -14) exponent = -14;  // subnormal
  // a fraction that rounds up to 2048 carries into the exponent, as it must
  const int fraction = (int)std::nearbyint(std::ldexp(size, 10 - exponent));
  return {(uint16_t)(sign | ((exponent + 14) * 1024 + fraction))};
}
