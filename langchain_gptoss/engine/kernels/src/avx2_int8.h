/* AVX2: products of int8 weights, which are stored in GROUP_ROWS rows; see WeightMatrix. */
#ifndef GPTOSS_AVX2_INT8_H
#define GPTOSS_AVX2_INT8_H

#include "avx2_values.h"
#include "row_parts.h"

#define AVX2_INT8_TOKENS 6 /* tokens at once: 12 sums, two vectors of weights and one of activations */

/* Sums of a block: dots[token * 2 + half of the rows]. Each load has two columns of 8 rows. */
AVX2_INLINE void avx2_add_int8_block(const RowPart *p, long b, const int count, __m256i *dots) {
    const int8_t *weights = (const int8_t *)p->weights + b * INT8_GROUP_BYTES;
#pragma GCC unroll 16
    for (int j = 0; j < BLOCK / 2; j++) {
        __m256i rows[2];
#pragma GCC unroll 2
        for (int v = 0; v < 2; v++) {
            rows[v] = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(weights + 32 * j + 16 * v)));
            AVX2_KEEP(rows[v]);
        }
#pragma GCC unroll 8
        for (int t = 0; t < count; t++) {
            const __m256i values = avx2_broadcast(p->wide[t][b].values + 2 * j);
#pragma GCC unroll 2
            for (int v = 0; v < 2; v++) {
                const __m256i product = _mm256_madd_epi16(rows[v], values);
                __m256i *dot = dots + 2 * t + v;
                *dot = j ? _mm256_add_epi32(*dot, product) : product;
                AVX2_KEEP(*dot);
            }
        }
    }
}

AVX2_INLINE __m256 avx2_load_bfloat16_scales(const uint16_t *from) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

AVX2_INLINE void avx2_multiply_int8_tokens(const RowPart *p, const int count) {
    __m256 sums[2 * AVX2_INT8_TOKENS];
#pragma GCC unroll 16
    for (int i = 0; i < 2 * count; i++)
        sums[i] = p->first ? _mm256_loadu_ps(p->out[i / 2] + i % 2 * 8) : _mm256_setzero_ps();
    for (long b = 0; b < p->blocks; b++) {
        __m256i dots[2 * AVX2_INT8_TOKENS];
        const char *next = (const char *)p->weights + b * INT8_GROUP_BYTES + PART_AHEAD;
        if (p->is_first)
            for (int line = 0; line < INT8_GROUP_BYTES; line += 64) _mm_prefetch(next + line, _MM_HINT_T0);
        avx2_add_int8_block(p, b, count, dots);
        const uint16_t *scales = p->scales + b * GROUP_ROWS;
        const __m256 row_scales[2] = {avx2_load_bfloat16_scales(scales), avx2_load_bfloat16_scales(scales + 8)};
#pragma GCC unroll 16
        for (int i = 0; i < 2 * count; i++) {
            const __m256 scale = _mm256_mul_ps(row_scales[i % 2], _mm256_set1_ps(p->wide[i / 2][b].scale));
            sums[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[i]), scale, sums[i]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < 2 * count; i++) _mm256_storeu_ps(p->out[i / 2] + i % 2 * 8, sums[i]);
}

AVX2 static void avx2_multiply_int8_part(const RowPart *p, long count) {
    switch (count) { /* a constant number of tokens, so that the sums stay in registers */
    case 1: avx2_multiply_int8_tokens(p, 1); break;
    case 2: avx2_multiply_int8_tokens(p, 2); break;
    case 3: avx2_multiply_int8_tokens(p, 3); break;
    case 4: avx2_multiply_int8_tokens(p, 4); break;
    case 5: avx2_multiply_int8_tokens(p, 5); break;
    default: avx2_multiply_int8_tokens(p, AVX2_INT8_TOKENS);
    }
}

static void avx2_multiply_int8(const WeightMatrix *w, long row, long rows, const Activations *x, const int32_t *tokens,
                               long count, void *scratch, float *out, long stride) {
    (void)scratch;
    multiply_row_parts(w, row, rows, x, tokens, count, out, stride, AVX2_INT8_TOKENS, avx2_multiply_int8_part);
}

#endif
