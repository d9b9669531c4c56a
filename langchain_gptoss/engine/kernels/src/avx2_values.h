/* AVX2: weights are loaded and unpacked, 8 rows at a time. */
#ifndef GPTOSS_AVX2_VALUES_H
#define GPTOSS_AVX2_VALUES_H

#include "portable_matrix.h"

#define AVX2 __attribute__((target("avx2,fma")))
#define AVX2_INLINE static inline __attribute__((always_inline)) AVX2
#define AVX2_CHUNK 24 /* blocks that are unpacked at once: 16 rows of them fit into the L1 cache */

/* GCC reorders sums of vectors until the registers do not suffice; this keeps the order that is written. */
#define AVX2_KEEP(vector) __asm__("" : "+x"(vector))

AVX2_INLINE __m256i avx2_broadcast(const void *four_bytes) {
    int32_t value;
    memcpy(&value, four_bytes, 4);
    return _mm256_set1_epi32(value);
}

AVX2_INLINE __m256i avx2_load_values(void) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)VALUES));
}

AVX2_INLINE __m256 avx2_decode_scales(const uint8_t *scales, long remaining) {
    uint64_t bytes = 0;
    memcpy(&bytes, scales, (size_t)remaining);
    __m256i exponents = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)bytes));
    __m256i bits = _mm256_slli_epi32(exponents, 23);
    __m256i zero = _mm256_cmpeq_epi32(exponents, _mm256_setzero_si256());
    bits = _mm256_blendv_epi8(bits, _mm256_set1_epi32(0x00400000), zero);
    __m256i nan = _mm256_cmpeq_epi32(exponents, _mm256_set1_epi32(255));
    return _mm256_castsi256_ps(_mm256_blendv_epi8(bits, _mm256_set1_epi32(0x7fc00000), nan));
}

/* Turns `count` (at most 8) MXFP4 scales of 8 rows around: float32 to[block * width + row]. Values are doubled, so
 * scales are halved. */
AVX2_INLINE void avx2_load_scales(const WeightMatrix *w, long row, long block, long count, float *to, const int width) {
    const long stride = w->k / BLOCK;
    const uint8_t *from = (const uint8_t *)w->scales + row * stride + block;
    __m128i rows[8];
    uint8_t bytes[64];
#pragma GCC unroll 8
    for (int r = 0; r < 8; r++) {
        uint64_t eight = 0;
        if (count >= 8)
            memcpy(&eight, from + r * stride, 8);
        else
            memcpy(&eight, from + r * stride, (size_t)count);
        rows[r] = _mm_cvtsi64_si128((long long)eight);
    }
    __m128i a = _mm_unpacklo_epi8(rows[0], rows[1]), b = _mm_unpacklo_epi8(rows[2], rows[3]);
    __m128i c = _mm_unpacklo_epi8(rows[4], rows[5]), d = _mm_unpacklo_epi8(rows[6], rows[7]);
    __m128i e = _mm_unpacklo_epi16(a, b), f = _mm_unpackhi_epi16(a, b);
    __m128i g = _mm_unpacklo_epi16(c, d), h = _mm_unpackhi_epi16(c, d);
    __m128i turned[4] = {_mm_unpacklo_epi32(e, g), _mm_unpackhi_epi32(e, g), _mm_unpacklo_epi32(f, h),
                         _mm_unpackhi_epi32(f, h)};
    memcpy(bytes, turned, 64);
    const __m128i two = _mm_set1_epi8(2);
    __m128i largest = _mm_max_epu8(_mm_sub_epi8(turned[0], two), _mm_sub_epi8(turned[1], two));
    largest = _mm_max_epu8(largest, _mm_max_epu8(_mm_sub_epi8(turned[2], two), _mm_sub_epi8(turned[3], two)));
    largest = _mm_subs_epu8(largest, _mm_set1_epi8((char)252));
    if (_mm_testz_si128(largest, largest)) { /* all are from 2 to 254: half of them is a normal number */
        const __m256i one = _mm256_set1_epi32(1);
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) {
            __m256i exponents = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(bytes + 8 * i)));
            exponents = _mm256_slli_epi32(_mm256_sub_epi32(exponents, one), 23);
            _mm256_storeu_ps(to + width * i, _mm256_castsi256_ps(exponents));
        }
    } else
        for (long i = 0; i < count; i++)
            _mm256_storeu_ps(to + width * i, _mm256_mul_ps(avx2_decode_scales(bytes + 8 * i, 8), _mm256_set1_ps(0.5f)));
}

/* Turns 8 rows of eight 32-bit parts around: parts[i] holds part i of each row. */
AVX2_INLINE void avx2_transpose(const __m256i *rows, __m256i *parts) {
    __m256i a[8], b[8];
#pragma GCC unroll 4
    for (int r = 0; r < 4; r++) {
        a[r] = _mm256_unpacklo_epi32(rows[2 * r], rows[2 * r + 1]);
        a[r + 4] = _mm256_unpackhi_epi32(rows[2 * r], rows[2 * r + 1]);
    }
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) { /* parts 0, 1 (h = 0) and 2, 3 of rows 0 to 3 and of rows 4 to 7 */
        b[2 * h] = _mm256_unpacklo_epi64(a[4 * h], a[4 * h + 1]);
        b[2 * h + 1] = _mm256_unpackhi_epi64(a[4 * h], a[4 * h + 1]);
        b[2 * h + 4] = _mm256_unpacklo_epi64(a[4 * h + 2], a[4 * h + 3]);
        b[2 * h + 5] = _mm256_unpackhi_epi64(a[4 * h + 2], a[4 * h + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        parts[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
        parts[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
    }
}

/* One MXFP4 block of 8 rows: each vector has four bytes of each row, rows in order. */
AVX2_INLINE void avx2_load_quarters(const uint8_t *from, long stride, __m256i *quarters) {
    __m256i rows[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        rows[j] = _mm256_inserti128_si256(
            _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(from + j * stride))),
            _mm_loadu_si128((const __m128i *)(from + (j + 4) * stride)), 1);
    __m256i a = _mm256_unpacklo_epi32(rows[0], rows[1]), c = _mm256_unpackhi_epi32(rows[0], rows[1]);
    __m256i d = _mm256_unpacklo_epi32(rows[2], rows[3]), e = _mm256_unpackhi_epi32(rows[2], rows[3]);
    quarters[0] = _mm256_unpacklo_epi64(a, d);
    quarters[1] = _mm256_unpackhi_epi64(a, d);
    quarters[2] = _mm256_unpacklo_epi64(c, e);
    quarters[3] = _mm256_unpackhi_epi64(c, e);
}

/* One MXFP4 block of a row as int8, columns in order. */
AVX2_INLINE __m256i avx2_unpack_row(const uint8_t *from) {
    const __m128i table = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)VALUES), _mm_set1_epi8(VALUE_OFFSET));
    const __m128i nibble = _mm_set1_epi8(15), bytes = _mm_loadu_si128((const __m128i *)from);
    __m128i even = _mm_shuffle_epi8(table, _mm_and_si128(bytes, nibble));
    __m128i odd = _mm_shuffle_epi8(table, _mm_and_si128(_mm_srli_epi16(bytes, 4), nibble));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi8(even, odd)),
                                   _mm_unpackhi_epi8(even, odd), 1);
}

#endif
