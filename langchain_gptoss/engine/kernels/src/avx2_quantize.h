/* AVX2: rounding of weights to int8, GROUP_ROWS rows at a time. */
#ifndef GPTOSS_AVX2_QUANTIZE_H
#define GPTOSS_AVX2_QUANTIZE_H

#include "avx2_values.h"
#include "quantize.h"

#define AVX2_QUANTIZE_AHEAD 512 /* bytes of a row that are fetched in advance */

/* A block of a row as it is stored: two vectors of bfloat16, or four of float32. */
AVX2_INLINE void avx2_load_stored(const Quantization *q, const int is_bfloat16, long start, __m256i *stored) {
    const char *from = (const char *)q->source + start * (is_bfloat16 ? 2 : 4);
    _mm_prefetch(from + AVX2_QUANTIZE_AHEAD, _MM_HINT_T0);
    if (!is_bfloat16) _mm_prefetch(from + AVX2_QUANTIZE_AHEAD + 64, _MM_HINT_T0);
#pragma GCC unroll 4
    for (int i = 0; i < (is_bfloat16 ? 2 : 4); i++) stored[i] = _mm256_loadu_si256((const __m256i *)from + i);
}

/* The largest magnitudes of 8 rows of `stored`, as bits of float32. Bits without the sign are in the order of the
 * magnitudes, and NaN is the largest. */
AVX2_INLINE __m256i avx2_find_largest(const Quantization *q, const int is_bfloat16, long start) {
    const __m256i magnitude = is_bfloat16 ? _mm256_set1_epi16(0x7fff) : _mm256_set1_epi32(0x7fffffff);
    __m256i rows[8];
#pragma GCC unroll 8
    for (int r = 0; r < 8; r++) {
        __m256i stored[4];
        avx2_load_stored(q, is_bfloat16, start + r * q->k, stored);
#pragma GCC unroll 4
        for (int i = 0; i < (is_bfloat16 ? 2 : 4); i++) stored[i] = _mm256_and_si256(stored[i], magnitude);
        if (is_bfloat16) {
            rows[r] = _mm256_max_epu16(stored[0], stored[1]);
            /* The larger one of each pair of columns, as float32. */
            rows[r] = _mm256_max_epu32(_mm256_slli_epi32(rows[r], 16),
                                       _mm256_andnot_si256(_mm256_set1_epi32(0xffff), rows[r]));
        } else
            rows[r] = _mm256_max_epu32(_mm256_max_epu32(stored[0], stored[1]), _mm256_max_epu32(stored[2], stored[3]));
    }
    __m256i parts[8];
    avx2_transpose(rows, parts);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) parts[i] = _mm256_max_epu32(parts[i], parts[i + 4]);
    return _mm256_max_epu32(_mm256_max_epu32(parts[0], parts[1]), _mm256_max_epu32(parts[2], parts[3]));
}

/* The scales of 8 rows, bfloat16 in 32 bits, and the factors by which their numbers are multiplied; see quantize_block.
 * Returns 0 if a number is not finite. */
AVX2_INLINE int avx2_find_scales(__m256i largest, __m256i *kept, float *factors) {
    const __m256 scale = _mm256_div_ps(_mm256_castsi256_ps(largest), _mm256_set1_ps(127));
    const __m256i is_large = _mm256_castps_si256(_mm256_cmp_ps(scale, _mm256_set1_ps(1e-35f), _CMP_GE_OQ));
    const __m256i rounded = _mm256_add_epi32(_mm256_castps_si256(scale), _mm256_set1_epi32(0xffff));
    *kept = _mm256_and_si256(_mm256_srli_epi32(rounded, 16), is_large);
    const __m256 factor = _mm256_div_ps(_mm256_set1_ps(1), _mm256_castsi256_ps(_mm256_slli_epi32(*kept, 16)));
    _mm256_storeu_ps(factors, _mm256_and_ps(factor, _mm256_castsi256_ps(is_large)));
    return _mm256_movemask_ps(_mm256_cmp_ps(scale, _mm256_set1_ps(3e38f), _CMP_LE_OQ)) == 255;
}

/* A block of a row, rounded. From float32, 128-bit lane i has columns 4 * i to 4 * i + 3 and those that are 8, 16 and 24
 * later; from bfloat16, columns 8 * i to 8 * i + 7 and those that are 16 later. */
AVX2_INLINE __m256i avx2_quantize_row(const Quantization *q, const int is_bfloat16, long start, float factor) {
    const __m256 factors = _mm256_set1_ps(factor);
    __m256i stored[4], rounded[4];
    avx2_load_stored(q, is_bfloat16, start, stored);
    if (is_bfloat16) { /* even columns 0 to 14, odd columns 1 to 15, and both again 16 columns later */
        stored[2] = stored[1];
        stored[3] = _mm256_andnot_si256(_mm256_set1_epi32(0xffff), stored[2]);
        stored[1] = _mm256_andnot_si256(_mm256_set1_epi32(0xffff), stored[0]);
        stored[0] = _mm256_slli_epi32(stored[0], 16);
        stored[2] = _mm256_slli_epi32(stored[2], 16);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        rounded[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_castsi256_ps(stored[i]), factors));
    const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(rounded[0], rounded[1]),
                                             _mm256_packs_epi32(rounded[2], rounded[3]));
    if (!is_bfloat16) return bytes;
    /* Even columns and odd ones alternate again. */
    return _mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(
                                          _mm_set_epi8(15, 11, 14, 10, 13, 9, 12, 8, 7, 3, 6, 2, 5, 1, 4, 0)));
}

/* Turns 8 rows of eight 16-bit parts around, in each 128-bit lane. */
AVX2_INLINE void avx2_transpose_words(const __m256i *rows, __m256i *parts) {
    __m256i a[8], b[8];
#pragma GCC unroll 4
    for (int r = 0; r < 4; r++) {
        a[r] = _mm256_unpacklo_epi16(rows[2 * r], rows[2 * r + 1]);
        a[r + 4] = _mm256_unpackhi_epi16(rows[2 * r], rows[2 * r + 1]);
    }
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) { /* parts 4 * h to 4 * h + 3 */
        b[4 * h] = _mm256_unpacklo_epi32(a[4 * h], a[4 * h + 1]);
        b[4 * h + 1] = _mm256_unpackhi_epi32(a[4 * h], a[4 * h + 1]);
        b[4 * h + 2] = _mm256_unpacklo_epi32(a[4 * h + 2], a[4 * h + 3]);
        b[4 * h + 3] = _mm256_unpackhi_epi32(a[4 * h + 2], a[4 * h + 3]);
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            parts[4 * h + 2 * i] = _mm256_unpacklo_epi64(b[4 * h + i], b[4 * h + i + 2]);
            parts[4 * h + 2 * i + 1] = _mm256_unpackhi_epi64(b[4 * h + i], b[4 * h + i + 2]);
        }
    }
}

AVX2_INLINE void avx2_quantize_block(const Quantization *q, const int is_bfloat16, long row, long b) {
    const long start = row * q->k + b * BLOCK;
    __m256i kept[2], parts[2][8];
    float factors[GROUP_ROWS];
    int is_finite = 1;
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++)
        is_finite &= avx2_find_scales(avx2_find_largest(q, is_bfloat16, start + 8 * h * q->k), kept + h,
                                      factors + 8 * h);
    if (!is_finite) {
        portable_quantize_block(q, row, b);
        return;
    }
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        __m256i rows[8];
#pragma GCC unroll 8
        for (int r = 0; r < 8; r++)
            rows[r] = avx2_quantize_row(q, is_bfloat16, start + (8 * h + r) * q->k, factors[8 * h + r]);
        avx2_transpose_words(rows, parts[h]);
    }
    __m256i *to = (__m256i *)(q->weights + row * q->k + b * BLOCK * GROUP_ROWS);
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        /* Pairs of columns of part i in the two lanes. */
        const int first = is_bfloat16 ? i % 4 + 8 * (i / 4) : i % 2 + 4 * (i / 2), second = first + (is_bfloat16 ? 4 : 2);
        _mm256_storeu_si256(to + first, _mm256_permute2x128_si256(parts[0][i], parts[1][i], 0x20));
        _mm256_storeu_si256(to + second, _mm256_permute2x128_si256(parts[0][i], parts[1][i], 0x31));
    }
    const __m256i scales = _mm256_permute4x64_epi64(_mm256_packus_epi32(kept[0], kept[1]), 0xd8);
    _mm256_storeu_si256((__m256i *)(q->scales + row * (q->k / BLOCK) + b * GROUP_ROWS), scales);
}

AVX2 static void avx2_quantize_rows(const Quantization *q, long row) {
    if (row + GROUP_ROWS > q->rows)
        portable_quantize_rows(q, row);
    else if (q->is_bfloat16)
        for (long b = 0; b < q->k / BLOCK; b++) avx2_quantize_block(q, 1, row, b);
    else
        for (long b = 0; b < q->k / BLOCK; b++) avx2_quantize_block(q, 0, row, b);
}

#endif
