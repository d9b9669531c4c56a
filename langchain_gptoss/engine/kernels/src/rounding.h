#ifndef GPTOSS_ROUNDING_H
#define GPTOSS_ROUNDING_H

#include "common.h"

#define INLINE static inline __attribute__((always_inline))

/* Rounding and gating, in plain C that each instruction set compiles for itself. */

/* The largest magnitude, by the bits without the sign, so that a NaN wins over everything. */
INLINE float largest_of(const float *block) {
    uint32_t largest = 0;
    for (int j = 0; j < BLOCK; j++) {
        uint32_t bits;
        memcpy(&bits, block + j, 4);
        bits &= 0x7fffffff;
        largest = bits > largest ? bits : largest;
    }
    return bits_to_float(largest);
}

/* Rounds to the nearest whole number: adding 1.5 * 2^23 leaves it in the low bits. */
INLINE void round_block(const float *block, float factor, int8_t *values) {
    for (int j = 0; j < BLOCK; j++) {
        float shifted = block[j] * factor + 12582912.0f;
        uint32_t bits;
        memcpy(&bits, &shifted, 4);
        values[j] = (int8_t)(bits - 0x4b400000u);
    }
}

/* The same in 15 bits: high is round(value / 256) of the 15-bit value, and low what is left. */
INLINE void round_wide(const float *block, float factor, int8_t *high, int8_t *low) {
    for (int j = 0; j < BLOCK; j++) {
        float shifted = block[j] * factor + 12582912.0f;
        uint32_t bits;
        memcpy(&bits, &shifted, 4);
        int32_t value = (int32_t)(bits - 0x4b400000u);
        high[j] = (int8_t)((value + 128) >> 8);
        low[j] = (int8_t)value;
    }
}

/* Even places first and then odd ones, unless the order is natural. */
INLINE Rounded rounded(const float *block, const int natural) {
    Rounded to;
    int8_t high[BLOCK] = {0}, low[BLOCK] = {0};
    const float most = largest_of(block);
    const int finite = most <= 3e38f, usable = finite && most >= 1e-30f;
    if (usable) round_wide(block, 127 * 256 / most, high, low);
    int32_t high_sum = 0, low_sum = 0;
    for (int j = 0; j < BLOCK_BYTES; j++) {
        to.high[j] = high[natural ? j : 2 * j];
        to.high[j + BLOCK_BYTES] = high[natural ? j + BLOCK_BYTES : 2 * j + 1];
        to.low[j] = low[natural ? j : 2 * j];
        to.low[j + BLOCK_BYTES] = low[natural ? j + BLOCK_BYTES : 2 * j + 1];
        high_sum += high[2 * j] + high[2 * j + 1];
        low_sum += low[2 * j] + low[2 * j + 1];
    }
    /* Infinities and NaN make every product of the block NaN. */
    to.scale = usable ? most / 254 : finite ? 0 : bits_to_float(0x7fc00000u);
    to.surplus = -OFFSET * high_sum;
    to.wide_surplus = -OFFSET * (256 * high_sum + low_sum);
    return to;
}

/* Rounded to float32's last bits for any x: 2^f by its Taylor polynomial around 0, times 2^n in the exponent. */
INLINE float exponential(float x) {
    float y = x * 1.44269504f;
    y = y < -126 ? -126 : y > 126 ? 126 : y;
    float n = floorf(y + 0.5f), f = (y - n) * 0.69314718f;
    float p = 1 + f * (1 + f * (0.5f + f * (1 / 6.0f + f * (1 / 24.0f + f * (1 / 120.0f + f / 720)))));
    return p * bits_to_float((uint32_t)((int32_t)n + 127) << 23);
}

/* Gates 64 products, gate and up in turns, and rounds the 32 results. The comparisons let a NaN through. */
INLINE Rounded gated(const float *from, const float *bias, float alpha, float limit) {
    float values[BLOCK];
    for (int j = 0; j < BLOCK; j++) {
        float gate = from[2 * j] + bias[2 * j], up = from[2 * j + 1] + bias[2 * j + 1];
        gate = gate > limit ? limit : gate;
        up = up > limit ? limit : up < -limit ? -limit : up;
        values[j] = (up + 1) * gate / (1 + exponential(-alpha * gate));
    }
    return rounded(values, 0);
}

/* Sums in 16 parts, which compilers turn into vectors; `count` is a multiple of 16. */
INLINE float dot_of(const float *a, const float *b, long count) {
    float parts[16] = {0}, sum = 0;
    for (long j = 0; j < count; j += 16)
        for (int l = 0; l < 16; l++) parts[l] += a[j + l] * b[j + l];
    for (int l = 0; l < 16; l++) sum += parts[l];
    return sum;
}

/* RMS norm of `count` numbers, as GptOssRMSNorm. */
INLINE void normed(const float *x, const float *weight, float epsilon, long count, float *out) {
    const float factor = 1 / sqrtf(dot_of(x, x, count) / (float)count + epsilon);
    for (long j = 0; j < count; j++) out[j] = weight[j] * (x[j] * factor);
}

/* What one query head sees of `length` keys and values: softmax with a sink, which takes a share and gives nothing. */
INLINE void attended(const float *query, const float *keys, const float *values, long length, long width, float scaling,
                     float sink, float *scores, float *out) {
    float most = sink, total;
    for (long i = 0; i < length; i++) {
        scores[i] = dot_of(query, keys + i * width, width) * scaling;
        most = scores[i] > most ? scores[i] : most;
    }
    total = exponential(sink - most);
    for (long i = 0; i < length; i++) scores[i] = exponential(scores[i] - most);
    for (long i = 0; i < length; i++) total += scores[i];
    memset(out, 0, (size_t)width * 4);
    for (long i = 0; i < length; i++)
        for (long j = 0; j < width; j++) out[j] += scores[i] / total * values[i * width + j];
}

/* Each instruction set compiles these for itself, so that its vectors are used. */
#define COMPILED_FOR(prefix, attributes)                                                                               \
    attributes Rounded prefix##_round(const float *block, int natural) {                                               \
        return natural ? rounded(block, 1) : rounded(block, 0);                                                        \
    }                                                                                                                  \
    attributes Rounded prefix##_gate(const float *products, const float *bias, float alpha, float limit) {             \
        return gated(products, bias, alpha, limit);                                                                    \
    }                                                                                                                  \
    attributes void prefix##_norm(const float *x, const float *weight, float epsilon, long count, float *out) {        \
        normed(x, weight, epsilon, count, out);                                                                        \
    }                                                                                                                  \
    attributes float prefix##_product(const float *a, const float *b, long count) { return dot_of(a, b, count); }      \
    attributes void prefix##_attend(const float *query, const float *keys, const float *values, long length,           \
                                    long width, float scaling, float sink, float *scores, float *out) {                \
        attended(query, keys, values, length, width, scaling, sink, scores, out);                                      \
    }

#endif
