/* AVX2: products of bfloat16 weights with float32 activations. */
#ifndef GPTOSS_AVX2_BFLOAT16_H
#define GPTOSS_AVX2_BFLOAT16_H

#include "avx2_values.h"

#define AVX2_COLUMNS 1024 /* columns of four tokens that stay in the L1 cache while all rows are multiplied */

AVX2_INLINE __m256 avx2_load_bfloat16(const uint16_t *from) {
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

/* The order of the additions is that of portable_multiply_bfloat16. */
AVX2_INLINE float avx2_add_lanes(__m256 v) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

/* Adds the products of `columns` columns of some rows and tokens to sums[row][token]. */
AVX2_INLINE void avx2_add_bfloat16(const uint16_t *w, long k, const int rows, const float *const *x, const int tokens,
                                   long columns, __m256 *sums) {
    for (long j = 0; j < columns; j += 8) {
        __m256 weights[8];
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) weights[r] = avx2_load_bfloat16(w + r * k + j);
#pragma GCC unroll 4
        for (int t = 0; t < tokens; t++) {
            const __m256 values = _mm256_loadu_ps(x[t] + j);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++)
                sums[r * tokens + t] = _mm256_fmadd_ps(weights[r], values, sums[r * tokens + t]);
        }
    }
}

AVX2 static void avx2_multiply_bfloat16_one(const uint16_t *w, long k, const float *x, float *out) {
    __m256 sums[8];
    for (int r = 0; r < 8; r++) sums[r] = _mm256_setzero_ps();
    for (long j = 0; j < k; j += 32) {
#pragma GCC unroll 8
        for (int r = 0; r < 8; r++) _mm_prefetch((const char *)(w + (8 + r) * k + j), _MM_HINT_T0);
        const float *from = x + j;
        avx2_add_bfloat16(w + j, k, 8, &from, 1, k - j < 32 ? k - j : 32, sums);
    }
    for (int r = 0; r < 8; r++) out[r] = avx2_add_lanes(sums[r]);
}

/* Four tokens and up to 64 rows. `sums` is [rows][4]. */
AVX2 static void avx2_multiply_bfloat16_four(const uint16_t *w, long k, long rows, const float *const *x, __m256 *sums,
                                             float *out, long stride) {
    for (long i = 0; i < rows * 4; i++) sums[i] = _mm256_setzero_ps();
    for (long first = 0; first < k; first += AVX2_COLUMNS) {
        const long columns = k - first < AVX2_COLUMNS ? k - first : AVX2_COLUMNS;
        const float *from[4] = {x[0] + first, x[1] + first, x[2] + first, x[3] + first};
        for (long r = 0; r < rows; r += 2) {
            __m256 pair[8];
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++) pair[i] = sums[r * 4 + i];
            avx2_add_bfloat16(w + r * k + first, k, 2, from, 4, columns, pair);
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++) sums[r * 4 + i] = pair[i];
        }
    }
    for (long r = 0; r < rows; r++)
        for (int t = 0; t < 4; t++) out[t * stride + r] = avx2_add_lanes(sums[r * 4 + t]);
}

AVX2 static void avx2_multiply_bfloat16(const WeightMatrix *w, long row, long rows, const Activations *x,
                                        const int32_t *tokens, long count, void *scratch, float *out, long stride) {
    const uint16_t *weights = (const uint16_t *)w->weights + row * w->k;
    long i = 0;
    for (; i + 4 <= count; i += 4) {
        const float *four[4];
        for (int t = 0; t < 4; t++) four[t] = x->exact + (tokens ? tokens[i + t] : i + t) * w->k;
        for (long r = 0; r < rows; r += 64)
            avx2_multiply_bfloat16_four(weights + r * w->k, w->k, rows - r < 64 ? rows - r : 64, four, scratch,
                                        out + i * stride + r, stride);
    }
    for (; i < count; i++)
        for (long r = 0; r < rows; r += 8)
            avx2_multiply_bfloat16_one(weights + r * w->k, w->k, x->exact + (tokens ? tokens[i] : i) * w->k,
                                       out + i * stride + r);
}

#endif
