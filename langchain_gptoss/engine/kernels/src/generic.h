#ifndef GPTOSS_GENERIC_H
#define GPTOSS_GENERIC_H

#include "common.h"

#define INLINE static inline __attribute__((always_inline))

/* Plain C that each level compiles for its own instructions. */

/* Compares the bits without the sign, so that NaN is the largest. */
INLINE float find_largest_magnitude(const float *block) {
    uint32_t largest = 0;
    for (int j = 0; j < BLOCK; j++) {
        uint32_t bits;
        memcpy(&bits, block + j, 4);
        bits &= 0x7fffffff;
        largest = bits > largest ? bits : largest;
    }
    return bits_to_float(largest);
}

/* Rounds to the nearest whole number: after adding 1.5 * 2^23 it is in the low bits. */
INLINE void round_to_int8(const float *block, float factor, int8_t *values) {
    for (int j = 0; j < BLOCK; j++) {
        float shifted = block[j] * factor + 12582912.0f;
        uint32_t bits;
        memcpy(&bits, &shifted, 4);
        values[j] = (int8_t)(bits - 0x4b400000u);
    }
}

/* Exact to the last bits of float32 for any x: 2^f by its Taylor polynomial around 0, times 2^n in the exponent. */
INLINE float fast_exp(float x) {
    float y = x * 1.44269504f;
    y = y < -126 ? -126 : y > 126 ? 126 : y;
    float n = floorf(y + 0.5f), f = (y - n) * 0.69314718f;
    float p = 1 + f * (1 + f * (0.5f + f * (1 / 6.0f + f * (1 / 24.0f + f * (1 / 120.0f + f / 720)))));
    return p * bits_to_float((uint32_t)((int32_t)n + 127) << 23);
}

#endif
