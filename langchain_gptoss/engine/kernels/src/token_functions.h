/* The functions of token_math.h for each level. */
#ifndef GPTOSS_TOKEN_FUNCTIONS_H
#define GPTOSS_TOKEN_FUNCTIONS_H

#include "generic.h"

/* IEEE 754 binary16. Rounds to the nearest, to even if there are two; numbers that are too large become the largest one. */
static inline uint16_t float_to_half(float value) {
    value = value > 65504.0f ? 65504.0f : value < -65504.0f ? -65504.0f : value;
    uint32_t bits;
    memcpy(&bits, &value, 4);
    const uint32_t sign = bits >> 16 & 0x8000;
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (bits < 0x38800000) { /* below 2^-14: adding 0.5 leaves multiples of 2^-24 in the low bits */
        const float shifted = bits_to_float(bits) + 0.5f;
        memcpy(&bits, &shifted, 4);
        return (uint16_t)(sign | (bits - 0x3f000000));
    }
    return (uint16_t)(sign | (bits - 0x38000000 + 0xfff + (bits >> 13 & 1)) >> 13);
}

/* Loads and stores through these types need no alignment. */
typedef float Float8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t Whole8 __attribute__((vector_size(32), aligned(4), may_alias));
#pragma GCC diagnostic ignored "-Wpsabi" /* about vectors as results of functions; these are all inlined */

static inline __attribute__((always_inline)) Float8 multiply_add_portable(Float8 a, Float8 b, Float8 c) {
    for (int j = 0; j < 8; j++) c[j] = fmaf(a[j], b[j], c[j]);
    return c;
}

#define NAME(name) name##_portable
#define LEVEL static inline __attribute__((always_inline))
#define LEVEL_FUNCTION static
#define MULTIPLY_ADD(a, b, c) multiply_add_portable(a, b, c)
#include "token_math.h"
#undef NAME
#undef LEVEL
#undef LEVEL_FUNCTION
#undef MULTIPLY_ADD

#ifdef X86
#define NAME(name) name##_avx2
#define LEVEL static inline __attribute__((always_inline, target("avx2,fma,f16c")))
#define LEVEL_FUNCTION static __attribute__((target("avx2,fma,f16c")))
#define LEVEL_HAS_HALF
#define MULTIPLY_ADD(a, b, c) (Float8) _mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c))
#include "token_math.h"
#undef NAME
#undef LEVEL
#undef LEVEL_FUNCTION
#undef MULTIPLY_ADD
#undef LEVEL_HAS_HALF
#endif

typedef struct {
    void (*rms_norm)(const float *x, const float *weight, float epsilon, long count, long size, float *out);
    float (*dot_product)(const float *a, const float *b, long count);
    void (*swiglu)(const float *products, const float *bias, float alpha, float limit, long count, float *out);
    void (*store_halves)(const float *from, uint16_t *to, long count);
    void (*pack_queries)(const AttentionTile *tile);
    void (*attend)(const AttentionTile *tile, long range, const AttentionPart *part);
    void (*merge_part)(const AttentionPart *part, long rows, long width, const AttentionPart *all);
} TokenFunctions;

static const TokenFunctions TOKEN_FUNCTIONS[] = {
    {rms_norm_portable, dot_product_portable, swiglu_portable, store_halves_portable, pack_queries_portable,
     attend_portable,
     merge_part_portable},
#ifdef X86
    {rms_norm_avx2, dot_product_avx2, swiglu_avx2, store_halves_avx2, pack_queries_avx2, attend_avx2, merge_part_avx2},
#endif
};

/* The functions of a level; a level without its own ones uses the next lower one's. */
static const TokenFunctions *select_token_functions(int level) {
    const int last = (int)(sizeof TOKEN_FUNCTIONS / sizeof *TOKEN_FUNCTIONS) - 1;
    return TOKEN_FUNCTIONS + (level < last ? level : last);
}

#endif
