/* AVX-512: products of int4 weights, which are stored in GROUP_ROWS rows; see WeightMatrix. */
#ifndef GPTOSS_AVX512_INT4_H
#define GPTOSS_AVX512_INT4_H

#include "avx512_int8.h"

/* Pairs of columns 2 * i and 2 * i + 1 of a part, as int16. */
AVX512_INLINE __m512i avx512_unpack_int4_pair(__m512i bytes, const int i) {
    const __m512i low = _mm512_set1_epi32(15), byte = _mm512_srli_epi32(bytes, 8 * i);
    const __m512i high = _mm512_slli_epi32(_mm512_andnot_si512(low, byte), 12);
    return _mm512_or_si512(_mm512_and_si512(byte, low), _mm512_and_si512(high, _mm512_set1_epi32(0xf0000)));
}

/* Sums of a block. Each load has eight columns of the rows. An instruction waits for the one before it that adds to the
 * same sum, so few tokens have several sums. */
AVX512_INLINE void avx512_add_int4_block(const RowPart *p, const int bits, long b, const int count, __m512i *dots) {
    const uint8_t *weights = p->weights + b * INT4_GROUP_BYTES;
    const __m512i nibble = _mm512_set1_epi8(15);
    const int parts = count == 1 ? 4 : count < 4 ? 2 : 1;
    __m512i sums[PART_TOKENS];
#pragma GCC unroll 8
    for (int i = 0; i < count * parts; i++) sums[i] = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        const __m512i bytes = _mm512_loadu_si512(weights + 64 * j);
        if (bits == 16) {
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                const __m512i pair = avx512_unpack_int4_pair(bytes, i);
#pragma GCC unroll 8
                for (int t = 0; t < count; t++) {
                    __m512i *sum = sums + t * parts + i % parts;
                    *sum = _mm512_dpwssd_epi32(*sum, pair, avx512_broadcast(p->wide[t][b].values + 8 * j + 2 * i));
                }
            }
            continue;
        }
        const __m512i even = _mm512_and_si512(bytes, nibble);
        const __m512i odd = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), nibble);
#pragma GCC unroll 8
        for (int t = 0; t < count; t++) {
            __m512i *sum = sums + t * parts + 2 * j % parts;
            *sum = _mm512_dpbusd_epi32(*sum, even, avx512_broadcast(p->narrow[t][b].values + 4 * j));
        }
#pragma GCC unroll 8
        for (int t = 0; t < count; t++) {
            __m512i *sum = sums + t * parts + (2 * j + 1) % parts;
            *sum = _mm512_dpbusd_epi32(*sum, odd, avx512_broadcast(p->narrow[t][b].values + 4 * j + 16));
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < count; t++) {
        dots[t] = sums[t * parts];
#pragma GCC unroll 4
        for (int i = 1; i < parts; i++) dots[t] = _mm512_add_epi32(dots[t], sums[t * parts + i]);
    }
}

AVX512_INLINE __m512 avx512_load_halves(const uint16_t *from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from));
}

AVX512_INLINE void avx512_multiply_int4_tokens(const RowPart *p, const int bits, const int count) {
    __m512 sums[PART_TOKENS];
#pragma GCC unroll 8
    for (int t = 0; t < count; t++) sums[t] = p->first ? _mm512_loadu_ps(p->out[t]) : _mm512_setzero_ps();
    for (long b = 0; b < p->blocks; b++) {
        __m512i dots[PART_TOKENS];
        const char *next = (const char *)p->weights + b * INT4_GROUP_BYTES + PART_AHEAD;
        const uint16_t *scales = p->scales + b * 2 * GROUP_ROWS;
        if (p->is_first) {
            for (int line = 0; line < INT4_GROUP_BYTES; line += 64) _mm_prefetch(next + line, _MM_HINT_T0);
            _mm_prefetch((const char *)scales + PART_AHEAD / 4, _MM_HINT_T0);
        }
        avx512_add_int4_block(p, bits, b, count, dots);
        const __m512 factors = avx512_load_halves(scales), minimums = avx512_load_halves(scales + GROUP_ROWS);
#pragma GCC unroll 8
        for (int t = 0; t < count; t++) {
            const float scale = bits == 16 ? p->wide[t][b].scale : p->narrow[t][b].scale;
            const float sum = bits == 16 ? p->wide[t][b].sum : p->narrow[t][b].sum;
            sums[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[t]), _mm512_mul_ps(factors, _mm512_set1_ps(scale)),
                                      sums[t]);
            sums[t] = _mm512_fmadd_ps(minimums, _mm512_set1_ps(sum), sums[t]);
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < count; t++) _mm512_storeu_ps(p->out[t], sums[t]);
}

/* A constant number of tokens, so that the sums stay in registers. */
AVX512_INLINE void avx512_multiply_int4_part(const RowPart *p, const int bits, long count) {
    switch (count) {
    case 1: avx512_multiply_int4_tokens(p, bits, 1); break;
    case 2: avx512_multiply_int4_tokens(p, bits, 2); break;
    case 3: avx512_multiply_int4_tokens(p, bits, 3); break;
    case 4: avx512_multiply_int4_tokens(p, bits, 4); break;
    case 5: avx512_multiply_int4_tokens(p, bits, 5); break;
    case 6: avx512_multiply_int4_tokens(p, bits, 6); break;
    case 7: avx512_multiply_int4_tokens(p, bits, 7); break;
    default: avx512_multiply_int4_tokens(p, bits, PART_TOKENS);
    }
}

AVX512 static void avx512_multiply_int4_part_8(const RowPart *p, long count) { avx512_multiply_int4_part(p, 8, count); }

AVX512 static void avx512_multiply_int4_part_16(const RowPart *p, long count) {
    avx512_multiply_int4_part(p, 16, count);
}

static void avx512_multiply_int4(const WeightMatrix *w, long row, long rows, const Activations *x,
                                 const int32_t *tokens, long count, void *scratch, float *out, long stride) {
    (void)scratch;
    multiply_row_parts(w, row, rows, x, tokens, count, out, stride, PART_TOKENS,
                       w->bits == 16 ? avx512_multiply_int4_part_16 : avx512_multiply_int4_part_8);
}

#endif
