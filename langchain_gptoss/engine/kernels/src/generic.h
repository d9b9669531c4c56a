#ifndef GPTOSS_GENERIC_H
#define GPTOSS_GENERIC_H

#include "common.h"

#define INLINE static inline __attribute__((always_inline))

/* Plain C that each level compiles for its own instructions: rounding, SwiGLU, norm, attention. */

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

/* Rounds to 15 bits: high is round(value / 256), and low is the rest. */
INLINE void round_to_int15(const float *block, float factor, int8_t *high, int8_t *low) {
    for (int j = 0; j < BLOCK; j++) {
        float shifted = block[j] * factor + 12582912.0f;
        uint32_t bits;
        memcpy(&bits, &shifted, 4);
        int32_t value = (int32_t)(bits - 0x4b400000u);
        high[j] = (int8_t)((value + 128) >> 8);
        low[j] = (int8_t)value;
    }
}

/* Even columns come first and odd ones follow, unless the layout is natural. */
INLINE QuantizedBlock quantize_block(const float *block, const int natural) {
    QuantizedBlock to;
    int8_t high[BLOCK] = {0}, low[BLOCK] = {0};
    const float largest = find_largest_magnitude(block);
    const int finite = largest <= 3e38f, usable = finite && largest >= 1e-30f;
    if (usable) round_to_int15(block, 127 * 256 / largest, high, low);
    int32_t high_sum = 0, low_sum = 0;
    for (int j = 0; j < BLOCK_BYTES; j++) {
        to.high[j] = high[natural ? j : 2 * j];
        to.high[j + BLOCK_BYTES] = high[natural ? j + BLOCK_BYTES : 2 * j + 1];
        to.low[j] = low[natural ? j : 2 * j];
        to.low[j + BLOCK_BYTES] = low[natural ? j + BLOCK_BYTES : 2 * j + 1];
        high_sum += high[2 * j] + high[2 * j + 1];
        low_sum += low[2 * j] + low[2 * j + 1];
    }
    /* Infinity and NaN make every product of the block NaN. */
    to.scale = usable ? largest / 254 : finite ? 0 : bits_to_float(0x7fc00000u);
    to.correction = -VALUE_OFFSET * high_sum;
    to.wide_correction = -VALUE_OFFSET * (256 * high_sum + low_sum);
    return to;
}

/* Exact to the last bits of float32 for any x: 2^f by its Taylor polynomial around 0, times 2^n in the exponent. */
INLINE float fast_exp(float x) {
    float y = x * 1.44269504f;
    y = y < -126 ? -126 : y > 126 ? 126 : y;
    float n = floorf(y + 0.5f), f = (y - n) * 0.69314718f;
    float p = 1 + f * (1 + f * (0.5f + f * (1 / 6.0f + f * (1 / 24.0f + f * (1 / 120.0f + f / 720)))));
    return p * bits_to_float((uint32_t)((int32_t)n + 127) << 23);
}

/* Applies SwiGLU to 64 products, in which gate and up alternate, and rounds the 32 results. The comparisons keep
 * NaN. */
INLINE QuantizedBlock swiglu_block(const float *from, const float *bias, float alpha, float limit) {
    float values[BLOCK];
    for (int j = 0; j < BLOCK; j++) {
        float gate = from[2 * j] + bias[2 * j], up = from[2 * j + 1] + bias[2 * j + 1];
        gate = gate > limit ? limit : gate;
        up = up > limit ? limit : up < -limit ? -limit : up;
        values[j] = (up + 1) * gate / (1 + fast_exp(-alpha * gate));
    }
    return quantize_block(values, 0);
}

/* Adds up 16 partial sums, which compilers turn into vectors; `count` is a multiple of 16. */
INLINE float dot_product(const float *a, const float *b, long count) {
    float parts[16] = {0}, sum = 0;
    for (long j = 0; j < count; j += 16)
        for (int l = 0; l < 16; l++) parts[l] += a[j + l] * b[j + l];
    for (int l = 0; l < 16; l++) sum += parts[l];
    return sum;
}

/* RMS norm of `count` numbers, as in GptOssRMSNorm. */
INLINE void rms_norm(const float *x, const float *weight, float epsilon, long count, float *out) {
    const float factor = 1 / sqrtf(dot_product(x, x, count) / (float)count + epsilon);
    for (long j = 0; j < count; j++) out[j] = weight[j] * (x[j] * factor);
}

/* Attention of one query head over `length` keys and values. A sink takes a share of the softmax and has no value. */
INLINE void attend_head(const float *query, const float *keys, const float *values, long length, long width,
                        float scaling, float sink, float *scores, float *out) {
    float largest = sink, total;
    for (long i = 0; i < length; i++) {
        scores[i] = dot_product(query, keys + i * width, width) * scaling;
        largest = scores[i] > largest ? scores[i] : largest;
    }
    total = fast_exp(sink - largest);
    for (long i = 0; i < length; i++) scores[i] = fast_exp(scores[i] - largest);
    for (long i = 0; i < length; i++) total += scores[i];
    memset(out, 0, (size_t)width * 4);
    for (long i = 0; i < length; i++)
        for (long j = 0; j < width; j++) out[j] += scores[i] / total * values[i * width + j];
}

/* Defines these functions for one level, so that its vector instructions are used. */
#define DEFINE_FOR_LEVEL(prefix, attributes)                                                                           \
    attributes QuantizedBlock prefix##_quantize(const float *block, int natural) {                                     \
        return natural ? quantize_block(block, 1) : quantize_block(block, 0);                                          \
    }                                                                                                                  \
    attributes QuantizedBlock prefix##_swiglu(const float *products, const float *bias, float alpha, float limit) {    \
        return swiglu_block(products, bias, alpha, limit);                                                             \
    }                                                                                                                  \
    attributes void prefix##_rms_norm(const float *x, const float *weight, float epsilon, long count, float *out) {    \
        rms_norm(x, weight, epsilon, count, out);                                                                      \
    }                                                                                                                  \
    attributes float prefix##_dot_product(const float *a, const float *b, long count) {                                \
        return dot_product(a, b, count);                                                                               \
    }                                                                                                                  \
    attributes void prefix##_attend(const float *query, const float *keys, const float *values, long length,           \
                                    long width, float scaling, float sink, float *scores, float *out) {                \
        attend_head(query, keys, values, length, width, scaling, sink, scores, out);                                   \
    }

#endif
