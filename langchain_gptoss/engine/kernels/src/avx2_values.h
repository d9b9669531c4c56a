/* AVX2: weights are loaded and unpacked, 8 rows at a time. */
#ifndef GPTOSS_AVX2_VALUES_H
#define GPTOSS_AVX2_VALUES_H

#include "portable_matrix.h"

#define AVX2 __attribute__((target("avx2,fma")))
#define AVX2_INLINE static inline __attribute__((always_inline)) AVX2
#define AVX2_SCALES 16 /* MXFP4 scales of a row that are read at once */
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

/* 16 bytes of a row in one lane, and 16 bytes of the row that is 4 rows below in the other one. */
AVX2_INLINE __m256i avx2_load_two_rows(const uint8_t *row, long stride) {
    const __m128i first = _mm_loadu_si128((const __m128i *)row);
    const __m128i second = _mm_loadu_si128((const __m128i *)(row + 4 * stride));
    return _mm256_blend_epi32(_mm256_castsi128_si256(first), _mm256_broadcastsi128_si256(second), 0xf0);
}

/* In each lane, moves the four bytes that end a 32-bit part from byte 4 * i on into the highest bytes of four parts. */
#define AVX2_SPREAD_LANE(i) -1, -1, -1, i, -1, -1, -1, i + 1, -1, -1, -1, i + 2, -1, -1, -1, i + 3
#define AVX2_SPREAD(i) {AVX2_SPREAD_LANE(4 * i), AVX2_SPREAD_LANE(4 * i)}
static const int8_t AVX2_SPREADS[4][32] __attribute__((aligned(32))) = {AVX2_SPREAD(0), AVX2_SPREAD(1), AVX2_SPREAD(2),
                                                                        AVX2_SPREAD(3)};

/* Exponents of AVX2_SCALES MXFP4 scales of 8 rows, turned around and less by 1: vector i has blocks 4 * i to 4 * i + 3, of
 * which each lane has a byte of each of its four rows. */
typedef struct {
    __m256i exponents[AVX2_SCALES / 4];
    long first;   /* block */
    int is_usual; /* half of every scale is a normal number */
} Avx2Scales;

/* Loads the scales of 8 rows from `block` on. */
AVX2_INLINE void avx2_load_scales(const WeightMatrix *w, long row, long block, Avx2Scales *to) {
    const long stride = w->k / BLOCK;
    to->is_usual = 0;
    /* 16 bytes of each row are read, so the last ones of a row overlap those before. */
    to->first = block + AVX2_SCALES <= stride ? block : stride - AVX2_SCALES;
    if (to->first < 0) return;
    const uint8_t *from = (const uint8_t *)w->scales + row * stride + to->first;
    const __m256i one = _mm256_set1_epi8(1);
    __m256i rows[4], largest = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        rows[j] = _mm256_sub_epi8(avx2_load_two_rows(from + j * stride, stride), one);
        largest = _mm256_max_epu8(largest, _mm256_sub_epi8(rows[j], one));
    }
    largest = _mm256_subs_epu8(largest, _mm256_set1_epi8((char)252)); /* exponents from 2 to 254 are usual */
    to->is_usual = _mm256_testz_si256(largest, largest);
    const __m256i a = _mm256_unpacklo_epi8(rows[0], rows[1]), b = _mm256_unpackhi_epi8(rows[0], rows[1]);
    const __m256i c = _mm256_unpacklo_epi8(rows[2], rows[3]), d = _mm256_unpackhi_epi8(rows[2], rows[3]);
    to->exponents[0] = _mm256_unpacklo_epi16(a, c);
    to->exponents[1] = _mm256_unpackhi_epi16(a, c);
    to->exponents[2] = _mm256_unpacklo_epi16(b, d);
    to->exponents[3] = _mm256_unpackhi_epi16(b, d);
}

/* Half of the scales of a block, because values are doubled. */
AVX2_INLINE __m256 avx2_get_scales(const WeightMatrix *w, long row, long block, const Avx2Scales *scales) {
    if (__builtin_expect(!scales->is_usual, 0)) {
        float halves[8];
        for (long r = 0; r < 8; r++) halves[r] = get_mxfp4_scale(w, (row + r) * (w->k / BLOCK) + block);
        return _mm256_loadu_ps(halves);
    }
    const unsigned long i = (unsigned long)(block - scales->first);
    const __m256i spread = _mm256_load_si256((const __m256i *)AVX2_SPREADS[i % 4]);
    return _mm256_castsi256_ps(_mm256_srli_epi32(_mm256_shuffle_epi8(scales->exponents[i / 4], spread), 1));
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
    for (int j = 0; j < 4; j++) rows[j] = avx2_load_two_rows(from + j * stride, stride);
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
