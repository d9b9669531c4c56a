/* AVX-512: products of int8 weights, which are stored in GROUP_ROWS rows; see WeightMatrix. */
#ifndef GPTOSS_AVX512_INT8_H
#define GPTOSS_AVX512_INT8_H

#include "row_parts.h"

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,fma,avx2")))
#define AVX512_INLINE static inline __attribute__((always_inline)) AVX512

AVX512_INLINE __m512i avx512_broadcast(const void *four_bytes) {
    int32_t value;
    memcpy(&value, four_bytes, 4);
    return _mm512_set1_epi32(value);
}

/* Sums of a block. Each load has two columns of the rows. An instruction waits for the one before it that adds to the
 * same sum, so few tokens have several sums. */
AVX512_INLINE void avx512_add_int8_block(const RowPart *p, long b, const int count, __m512i *dots) {
    const int8_t *weights = (const int8_t *)p->weights + b * INT8_GROUP_BYTES;
    const int parts = count == 1 ? 4 : count < 4 ? 2 : 1;
    __m512i sums[PART_TOKENS];
#pragma GCC unroll 8
    for (int i = 0; i < count * parts; i++) sums[i] = _mm512_setzero_si512();
#pragma GCC unroll 16
    for (int j = 0; j < BLOCK / 2; j++) {
        const __m512i rows = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(weights + 32 * j)));
#pragma GCC unroll 8
        for (int t = 0; t < count; t++) {
            __m512i *sum = sums + t * parts + j % parts;
            *sum = _mm512_dpwssd_epi32(*sum, rows, avx512_broadcast(p->wide[t][b].values + 2 * j));
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < count; t++) {
        dots[t] = sums[t * parts];
#pragma GCC unroll 4
        for (int i = 1; i < parts; i++) dots[t] = _mm512_add_epi32(dots[t], sums[t * parts + i]);
    }
}

AVX512_INLINE void avx512_multiply_int8_tokens(const RowPart *p, const int count) {
    __m512 sums[PART_TOKENS];
#pragma GCC unroll 8
    for (int t = 0; t < count; t++) sums[t] = p->first ? _mm512_loadu_ps(p->out[t]) : _mm512_setzero_ps();
    for (long b = 0; b < p->blocks; b++) {
        __m512i dots[PART_TOKENS];
        const char *next = (const char *)p->weights + b * INT8_GROUP_BYTES + PART_AHEAD;
        if (p->is_first)
            for (int line = 0; line < INT8_GROUP_BYTES; line += 64) _mm_prefetch(next + line, _MM_HINT_T0);
        avx512_add_int8_block(p, b, count, dots);
        const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(p->scales + b * GROUP_ROWS)));
        const __m512 row_scales = _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
#pragma GCC unroll 8
        for (int t = 0; t < count; t++) {
            const __m512 scale = _mm512_mul_ps(row_scales, _mm512_set1_ps(p->wide[t][b].scale));
            sums[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[t]), scale, sums[t]);
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < count; t++) _mm512_storeu_ps(p->out[t], sums[t]);
}

AVX512 static void avx512_multiply_int8_part(const RowPart *p, long count) {
    switch (count) { /* a constant number of tokens, so that the sums stay in registers */
    case 1: avx512_multiply_int8_tokens(p, 1); break;
    case 2: avx512_multiply_int8_tokens(p, 2); break;
    case 3: avx512_multiply_int8_tokens(p, 3); break;
    case 4: avx512_multiply_int8_tokens(p, 4); break;
    case 5: avx512_multiply_int8_tokens(p, 5); break;
    case 6: avx512_multiply_int8_tokens(p, 6); break;
    case 7: avx512_multiply_int8_tokens(p, 7); break;
    default: avx512_multiply_int8_tokens(p, PART_TOKENS);
    }
}

static void avx512_multiply_int8(const WeightMatrix *w, long row, long rows, const Activations *x,
                                 const int32_t *tokens, long count, void *scratch, float *out, long stride) {
    (void)scratch;
    multiply_row_parts(w, row, rows, x, tokens, count, out, stride, PART_TOKENS, avx512_multiply_int8_part);
}

#endif
