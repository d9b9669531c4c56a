/* AVX2: products of int4 weights, which are stored in GROUP_ROWS rows; see WeightMatrix. */
#ifndef GPTOSS_AVX2_INT4_H
#define GPTOSS_AVX2_INT4_H

#include "avx2_values.h"
#include "row_parts.h"

#define AVX2_INT4_TOKENS 4 /* tokens at once: 8 sums, two vectors of weights, one of activations and one of nibbles */

#define AVX2_HALF __attribute__((target("avx2,fma,f16c"))) /* for float16; all such processors have it */
#define AVX2_HALF_INLINE static inline __attribute__((always_inline)) AVX2_HALF

/* Pairs of columns 2 * i and 2 * i + 1 of a part, as int16. */
AVX2_HALF_INLINE __m256i avx2_unpack_int4_pair(__m256i bytes, const int i) {
    const __m256i low = _mm256_set1_epi32(15), byte = _mm256_srli_epi32(bytes, 8 * i);
    const __m256i high = _mm256_slli_epi32(_mm256_andnot_si256(low, byte), 12);
    return _mm256_or_si256(_mm256_and_si256(byte, low), _mm256_and_si256(high, _mm256_set1_epi32(0xf0000)));
}

/* Sums of a block with activations of 16 bits: dots[token * 2 + half of the rows]. */
AVX2_HALF_INLINE void avx2_add_wide_int4_block(const RowPart *p, long b, const int count, __m256i *dots) {
    const uint8_t *weights = p->weights + b * INT4_GROUP_BYTES;
#pragma GCC unroll 16
    for (int j = 0; j < 16; j++) {
        __m256i rows[2];
#pragma GCC unroll 2
        for (int v = 0; v < 2; v++) {
            const __m256i bytes = _mm256_loadu_si256((const __m256i *)(weights + 64 * (j / 4) + 32 * v));
            rows[v] = avx2_unpack_int4_pair(bytes, j % 4);
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

/* Sums of a block: dots[token * 2 + half of the rows]. Each load has eight columns of 8 rows. A sum of 16 products, each
 * at most 15 * 127, is below 2^15. */
AVX2_HALF_INLINE void avx2_add_int4_block(const RowPart *p, long b, const int count, __m256i *dots) {
    const uint8_t *weights = p->weights + b * INT4_GROUP_BYTES;
    const __m256i nibble = _mm256_set1_epi8(15);
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++) {
        __m256i rows[2];
#pragma GCC unroll 2
        for (int v = 0; v < 2; v++) {
            const __m256i bytes = _mm256_loadu_si256((const __m256i *)(weights + 64 * (j / 2) + 32 * v));
            rows[v] = _mm256_and_si256(j % 2 ? _mm256_srli_epi16(bytes, 4) : bytes, nibble);
            AVX2_KEEP(rows[v]);
        }
#pragma GCC unroll 8
        for (int t = 0; t < count; t++) {
            const __m256i values = avx2_broadcast(p->narrow[t][b].values + 4 * (j / 2) + j % 2 * 16);
#pragma GCC unroll 2
            for (int v = 0; v < 2; v++) {
                const __m256i product = _mm256_maddubs_epi16(rows[v], values);
                __m256i *dot = dots + 2 * t + v;
                *dot = j ? _mm256_add_epi16(*dot, product) : product;
                AVX2_KEEP(*dot);
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < 2 * count; i++) dots[i] = _mm256_madd_epi16(dots[i], _mm256_set1_epi16(1));
}

AVX2_HALF_INLINE __m256 avx2_load_halves(const uint16_t *from) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from));
}

AVX2_HALF_INLINE void avx2_multiply_int4_tokens(const RowPart *p, const int bits, const int count) {
    __m256 sums[2 * AVX2_INT4_TOKENS];
#pragma GCC unroll 16
    for (int i = 0; i < 2 * count; i++)
        sums[i] = p->first ? _mm256_loadu_ps(p->out[i / 2] + i % 2 * 8) : _mm256_setzero_ps();
    for (long b = 0; b < p->blocks; b++) {
        __m256i dots[2 * AVX2_INT4_TOKENS];
        const char *next = (const char *)p->weights + b * INT4_GROUP_BYTES + PART_AHEAD;
        const uint16_t *scales = p->scales + b * 2 * GROUP_ROWS;
        if (p->is_first) {
            for (int line = 0; line < INT4_GROUP_BYTES; line += 64) _mm_prefetch(next + line, _MM_HINT_T0);
            _mm_prefetch((const char *)scales + PART_AHEAD / 4, _MM_HINT_T0);
        }
        if (bits == 16)
            avx2_add_wide_int4_block(p, b, count, dots);
        else
            avx2_add_int4_block(p, b, count, dots);
        const __m256 factors[2] = {avx2_load_halves(scales), avx2_load_halves(scales + 8)};
        const __m256 minimums[2] = {avx2_load_halves(scales + GROUP_ROWS), avx2_load_halves(scales + GROUP_ROWS + 8)};
#pragma GCC unroll 8
        for (int i = 0; i < 2 * count; i++) {
            const int t = i / 2;
            const __m256 scale = _mm256_set1_ps(bits == 16 ? p->wide[t][b].scale : p->narrow[t][b].scale);
            const __m256 sum = _mm256_set1_ps(bits == 16 ? p->wide[t][b].sum : p->narrow[t][b].sum);
            sums[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[i]), _mm256_mul_ps(factors[i % 2], scale), sums[i]);
            sums[i] = _mm256_fmadd_ps(minimums[i % 2], sum, sums[i]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < 2 * count; i++) _mm256_storeu_ps(p->out[i / 2] + i % 2 * 8, sums[i]);
}

/* A constant number of tokens, so that the sums stay in registers. */
AVX2_HALF_INLINE void avx2_multiply_int4_part(const RowPart *p, const int bits, long count) {
    switch (count) {
    case 1: avx2_multiply_int4_tokens(p, bits, 1); break;
    case 2: avx2_multiply_int4_tokens(p, bits, 2); break;
    case 3: avx2_multiply_int4_tokens(p, bits, 3); break;
    default: avx2_multiply_int4_tokens(p, bits, AVX2_INT4_TOKENS);
    }
}

AVX2_HALF static void avx2_multiply_int4_part_8(const RowPart *p, long count) { avx2_multiply_int4_part(p, 8, count); }

AVX2_HALF static void avx2_multiply_int4_part_16(const RowPart *p, long count) {
    avx2_multiply_int4_part(p, 16, count);
}

static void avx2_multiply_int4(const WeightMatrix *w, long row, long rows, const Activations *x, const int32_t *tokens,
                               long count, void *scratch, float *out, long stride) {
    (void)scratch;
    multiply_row_parts(w, row, rows, x, tokens, count, out, stride, AVX2_INT4_TOKENS,
                       w->bits == 16 ? avx2_multiply_int4_part_16 : avx2_multiply_int4_part_8);
}

#endif
