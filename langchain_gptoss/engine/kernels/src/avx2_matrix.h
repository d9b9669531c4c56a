/* AVX2 with FMA: nearly every x86-64 processor since 2013 (Intel) and 2015 (AMD). See matrix.h. */
#ifndef GPTOSS_AVX2_MATRIX_H
#define GPTOSS_AVX2_MATRIX_H

#include "portable_matrix.h"

#define AVX2 __attribute__((target("avx2,fma")))
#define AVX2_INLINE static inline __attribute__((always_inline)) AVX2
#define AVX2_CHUNK 24 /* blocks that are unpacked at once: 16 rows of them fit into the L1 cache */

/* GCC reorders sums of vectors until the registers do not suffice; this keeps the order that is written. */
#define AVX2_KEEP(vector) __asm__("" : "+x"(vector))

/* ---- loading and unpacking 8 rows */

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

/* Turns `count` (at most 8) scales of 8 rows around: float32 to[block * width + row]. MXFP4 values are doubled, so
 * their scales are halved. */
AVX2_INLINE void avx2_load_mxfp4_scales(const uint8_t *from, long stride, long count, float *to, const int width) {
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

AVX2_INLINE void avx2_load_int8_scales(const uint16_t *from, long stride, long count, float *to, const int width) {
    __m128i a[8], b[8];
#pragma GCC unroll 8
    for (int r = 0; r < 8; r++) {
        uint16_t eight[8] = {0};
        if (count >= 8)
            memcpy(eight, from + r * stride, 16);
        else
            memcpy(eight, from + r * stride, (size_t)count * 2);
        memcpy(a + r, eight, 16);
    }
#pragma GCC unroll 4
    for (int r = 0; r < 4; r++) {
        b[r] = _mm_unpacklo_epi16(a[2 * r], a[2 * r + 1]);
        b[r + 4] = _mm_unpackhi_epi16(a[2 * r], a[2 * r + 1]);
    }
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        const __m128i *c = b + 4 * half;
        __m128i d = _mm_unpacklo_epi32(c[0], c[1]), e = _mm_unpackhi_epi32(c[0], c[1]);
        __m128i f = _mm_unpacklo_epi32(c[2], c[3]), g = _mm_unpackhi_epi32(c[2], c[3]);
        a[4 * half] = _mm_unpacklo_epi64(d, f);
        a[4 * half + 1] = _mm_unpackhi_epi64(d, f);
        a[4 * half + 2] = _mm_unpacklo_epi64(e, g);
        a[4 * half + 3] = _mm_unpackhi_epi64(e, g);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        if (i < count)
            _mm256_storeu_ps(to + width * i,
                             _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(a[i]), 16)));
}

AVX2_INLINE void avx2_load_scales(const WeightMatrix *w, const int format, long row, long block, long count, float *to,
                                  const int width) {
    const long stride = w->k / BLOCK, start = row * stride + block;
    if (format == FORMAT_MXFP4)
        avx2_load_mxfp4_scales((const uint8_t *)w->scales + start, stride, count, to, width);
    else
        avx2_load_int8_scales((const uint16_t *)w->scales + start, stride, count, to, width);
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

/* One block of a row as int8, columns in order. */
AVX2_INLINE __m256i avx2_load_row(const WeightMatrix *w, const int format, long block) {
    return format == FORMAT_MXFP4 ? avx2_unpack_row((const uint8_t *)w->weights + block * BLOCK_BYTES)
                                  : _mm256_loadu_si256((const __m256i *)((const int8_t *)w->weights + block * BLOCK));
}

/* ---- few tokens: 8 rows are multiplied straight from memory */

/* Adds up pairs of parts within each 128-bit lane; the results of two vectors alternate. */
AVX2_INLINE __m256i avx2_add_pairs(__m256i a, __m256i b) {
    return _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
}

/* Adds up the parts of each of 8 vectors. */
AVX2_INLINE __m256i avx2_add_parts(const __m256i *v) {
    __m256i a = avx2_add_pairs(v[0], v[1]), b = avx2_add_pairs(v[2], v[3]), c = avx2_add_pairs(v[4], v[5]);
    __m256i d = avx2_add_pairs(v[6], v[7]);
    a = _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b)); /* rows 0 to 3, in both lanes */
    c = _mm256_add_epi32(_mm256_unpacklo_epi64(c, d), _mm256_unpackhi_epi64(c, d));
    return _mm256_add_epi32(_mm256_permute2x128_si256(a, c, 0x20), _mm256_permute2x128_si256(a, c, 0x31));
}

/* Adds the upper half of each 128-bit lane of two vectors to the lower half. */
AVX2_INLINE __m256i avx2_fold(__m256i a, __m256i b) {
    return _mm256_add_epi16(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
}

/* Products of one block of 8 rows. A vector holds rows j and j + 4; sums of eight products, each at most 24 * 127, are
 * below 2^15. */
AVX2_INLINE void avx2_dot_mxfp4(const uint8_t *from, long stride, const NarrowBlock *const *x, long b, const int count,
                                __m256i *dots) {
    const __m256i table = avx2_load_values(), nibble = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    __m256i halves[2][4];
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        __m256i even[2], odd[2];
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            const uint8_t *row = from + (2 * half + j) * stride;
            __m256i bytes = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)row));
            bytes = _mm256_inserti128_si256(bytes, _mm_loadu_si128((const __m128i *)(row + 4 * stride)), 1);
            even[j] = _mm256_shuffle_epi8(table, _mm256_and_si256(bytes, nibble));
            odd[j] = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble));
        }
#pragma GCC unroll 4
        for (int t = 0; t < count; t++) {
            const __m128i *values = (const __m128i *)x[t][b].values;
            const __m256i first = _mm256_broadcastsi128_si256(_mm_loadu_si128(values));
            const __m256i second = _mm256_broadcastsi128_si256(_mm_loadu_si128(values + 1));
            __m256i low = _mm256_add_epi16(_mm256_maddubs_epi16(even[0], first), _mm256_maddubs_epi16(odd[0], second));
            __m256i high = _mm256_add_epi16(_mm256_maddubs_epi16(even[1], first), _mm256_maddubs_epi16(odd[1], second));
            halves[half][t] = _mm256_madd_epi16(avx2_fold(low, high), ones);
        }
    }
#pragma GCC unroll 4
    for (int t = 0; t < count; t++) {
        const __m256 low = _mm256_castsi256_ps(halves[0][t]), high = _mm256_castsi256_ps(halves[1][t]);
        __m256i dot = _mm256_add_epi32(_mm256_castps_si256(_mm256_shuffle_ps(low, high, 0x88)),
                                       _mm256_castps_si256(_mm256_shuffle_ps(low, high, 0xdd)));
        dots[t] = _mm256_add_epi32(dot, _mm256_set1_epi32(x[t][b].value_correction));
    }
}

/* The sign of a weight moves to the activation, because one operand of the instruction is unsigned. */
AVX2_INLINE void avx2_dot_int8(const int8_t *from, long stride, const NarrowBlock *const *x, long b, const int count,
                               __m256i *dots) {
#pragma GCC unroll 4
    for (int t = 0; t < count; t++) {
        const __m128i even = _mm_loadu_si128((const __m128i *)x[t][b].values);
        const __m128i odd = _mm_loadu_si128((const __m128i *)(x[t][b].values + 16));
        const __m256i columns = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi8(even, odd)),
                                                        _mm_unpackhi_epi8(even, odd), 1);
        __m256i parts[8];
#pragma GCC unroll 8
        for (int r = 0; r < 8; r++) {
            __m256i row = _mm256_loadu_si256((const __m256i *)(from + r * stride));
            __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(row), _mm256_sign_epi8(columns, row));
            parts[r] = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
        }
        dots[t] = avx2_add_parts(parts);
    }
}

AVX2_INLINE void avx2_dot_wide(const WeightMatrix *w, const int format, long block, const WideBlock *const *x, long b,
                               const int count, __m256i *dots) {
    __m256i rows[8];
    if (count > 1 && format == FORMAT_MXFP4) /* unpacked once */
        for (int r = 0; r < 8; r++) rows[r] = avx2_load_row(w, format, block + r * (w->k / BLOCK));
#pragma GCC unroll 4
    for (int t = 0; t < count; t++) {
        const __m256i low = _mm256_loadu_si256((const __m256i *)x[t][b].values);
        const __m256i high = _mm256_loadu_si256((const __m256i *)(x[t][b].values + 16));
        __m256i parts[8];
#pragma GCC unroll 8
        for (int r = 0; r < 8; r++) {
            __m256i row = count > 1 && format == FORMAT_MXFP4 ? rows[r]
                                                              : avx2_load_row(w, format, block + r * (w->k / BLOCK));
            parts[r] = _mm256_add_epi32(
                _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm256_castsi256_si128(row)), low),
                _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm256_extracti128_si256(row, 1)), high));
        }
        dots[t] = avx2_add_parts(parts);
    }
}

AVX2_INLINE void avx2_multiply_few(const WeightMatrix *w, const int format, const int bits, long row,
                                   const Activations *x, const long *tokens, const int count, float *out,
                                   long stride) {
    const long blocks = w->k / BLOCK, bytes = format == FORMAT_MXFP4 ? BLOCK_BYTES : BLOCK;
    const uint8_t *from = (const uint8_t *)w->weights + row * blocks * bytes;
    const char *next = (const char *)from + 8 * blocks * bytes; /* the next 8 rows are fetched in the meantime */
    const NarrowBlock *narrow[4];
    const WideBlock *wide[4];
    __m256 sums[4];
    float scales[64];
    for (int t = 0; t < count; t++) {
        narrow[t] = x->narrow + tokens[t] * blocks;
        wide[t] = x->wide + tokens[t] * blocks;
        sums[t] = _mm256_setzero_ps();
    }
    for (long b = 0; b < blocks; b++) {
        __m256i dots[4];
        if (b % 8 == 0) avx2_load_scales(w, format, row, b, blocks - b < 8 ? blocks - b : 8, scales, 8);
        for (long line = 0; line < bytes * 8; line += 64) _mm_prefetch(next + b * bytes * 8 + line, _MM_HINT_T0);
        if (bits == 16)
            avx2_dot_wide(w, format, row * blocks + b, wide, b, count, dots);
        else if (format == FORMAT_MXFP4)
            avx2_dot_mxfp4(from + b * bytes, blocks * bytes, narrow, b, count, dots);
        else
            avx2_dot_int8((const int8_t *)from + b * bytes, blocks * bytes, narrow, b, count, dots);
        const __m256 row_scales = _mm256_loadu_ps(scales + b % 8 * 8);
#pragma GCC unroll 4
        for (int t = 0; t < count; t++) {
            __m256 scale = _mm256_set1_ps(bits == 16 ? wide[t][b].scale : narrow[t][b].scale);
            sums[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[t]), _mm256_mul_ps(row_scales, scale), sums[t]);
        }
    }
    for (int t = 0; t < count; t++) _mm256_storeu_ps(out + t * stride, sums[t]);
}

/* ---- many tokens: a tile of 16 rows is unpacked once */

/* Bytes: [block][8 parts][vectors][8 rows][4 columns] in the order of NarrowBlock. MXFP4 values are offset. */
AVX2_INLINE void avx2_unpack_bytes(const WeightMatrix *w, const int format, long block, uint8_t *tile, long stride) {
    const long blocks = w->k / BLOCK;
    __m256i parts[8];
    if (format == FORMAT_MXFP4) {
        const __m256i table = avx2_load_values(), nibble = _mm256_set1_epi8(15);
        avx2_load_quarters((const uint8_t *)w->weights + block * BLOCK_BYTES, blocks * BLOCK_BYTES, parts);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            parts[j + 4] = _mm256_and_si256(_mm256_srli_epi16(parts[j], 4), nibble);
            parts[j + 4] = _mm256_shuffle_epi8(table, parts[j + 4]);
            parts[j] = _mm256_shuffle_epi8(table, _mm256_and_si256(parts[j], nibble));
        }
    } else {
        const __m256i order = _mm256_broadcastsi128_si256(
            _mm_set_epi8(15, 13, 11, 9, 7, 5, 3, 1, 14, 12, 10, 8, 6, 4, 2, 0));
        __m256i rows[8];
#pragma GCC unroll 8
        for (int r = 0; r < 8; r++) {
            rows[r] = _mm256_shuffle_epi8(avx2_load_row(w, format, block + r * blocks), order);
            rows[r] = _mm256_permute4x64_epi64(rows[r], 0xd8);
        }
        avx2_transpose(rows, parts);
    }
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++) _mm256_store_si256((__m256i *)(tile + j * stride), parts[j]);
}

/* int16: [block][16 parts][vectors][8 rows][2 columns]. */
AVX2_INLINE void avx2_unpack_words(const WeightMatrix *w, const int format, long block, uint8_t *tile, long stride) {
    const long blocks = w->k / BLOCK;
    __m256i low[8], high[8], parts[8];
#pragma GCC unroll 8
    for (int r = 0; r < 8; r++) {
        __m256i row = avx2_load_row(w, format, block + r * blocks);
        low[r] = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(row));
        high[r] = _mm256_cvtepi8_epi16(_mm256_extracti128_si256(row, 1));
    }
    avx2_transpose(low, parts);
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++) _mm256_store_si256((__m256i *)(tile + j * stride), parts[j]);
    avx2_transpose(high, parts);
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++) _mm256_store_si256((__m256i *)(tile + (j + 8) * stride), parts[j]);
}

AVX2_INLINE __m256i avx2_broadcast(const void *four_bytes) {
    int32_t value;
    memcpy(&value, four_bytes, 4);
    return _mm256_set1_epi32(value);
}

/* Products of one block of MXFP4 rows: dots[token * vectors + vector]. */
AVX2_INLINE void avx2_multiply_mxfp4(const uint8_t *tile, const int vectors, const NarrowBlock *const *x, long b,
                                     const int count, __m256i *dots) {
#pragma GCC unroll 4
    for (int t = 0; t < count; t++)
        for (int v = 0; v < vectors; v++) dots[t * vectors + v] = _mm256_set1_epi32(x[t][b].value_correction);
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        __m256i pairs[4];
#pragma GCC unroll 4
        for (int j = 4 * half; j < 4 * half + 4; j++) {
            __m256i weights[2];
            for (int v = 0; v < vectors; v++) {
                weights[v] = _mm256_load_si256((const __m256i *)tile + j * vectors + v);
                AVX2_KEEP(weights[v]);
            }
#pragma GCC unroll 4
            for (int t = 0; t < count; t++) {
                const __m256i values = avx2_broadcast(x[t][b].values + 4 * j);
#pragma GCC unroll 2
                for (int v = 0; v < vectors; v++) {
                    __m256i product = _mm256_maddubs_epi16(weights[v], values);
                    __m256i *pair = pairs + t * vectors + v;
                    *pair = j % 4 ? _mm256_add_epi16(*pair, product) : product;
                    AVX2_KEEP(*pair);
                }
            }
        }
#pragma GCC unroll 4
        for (int i = 0; i < count * vectors; i++)
        {
            dots[i] = _mm256_add_epi32(dots[i], _mm256_madd_epi16(pairs[i], _mm256_set1_epi16(1)));
            AVX2_KEEP(dots[i]);
        }
    }
}

AVX2_INLINE void avx2_multiply_int8(const uint8_t *tile, const int vectors, const NarrowBlock *const *x, long b,
                                    const int count, __m256i *dots) {
    const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            const __m256i weights = _mm256_load_si256((const __m256i *)tile + j * vectors + v);
            const __m256i magnitudes = _mm256_abs_epi8(weights);
#pragma GCC unroll 4
            for (int t = 0; t < count; t++) {
                __m256i values = _mm256_sign_epi8(avx2_broadcast(x[t][b].values + 4 * j), weights);
                __m256i product = _mm256_madd_epi16(_mm256_maddubs_epi16(magnitudes, values), ones);
                __m256i *dot = dots + t * vectors + v;
                *dot = j ? _mm256_add_epi32(*dot, product) : product;
                AVX2_KEEP(*dot);
            }
        }
}

AVX2_INLINE void avx2_multiply_words(const uint8_t *tile, const int vectors, const WideBlock *const *x, long b,
                                     const int count, __m256i *dots) {
#pragma GCC unroll 16
    for (int j = 0; j < 16; j++) {
            __m256i W[2];
            for (int v = 0; v < vectors; v++) {
                W[v] = _mm256_load_si256((const __m256i *)tile + j * vectors + v);
                AVX2_KEEP(W[v]);
            }
#pragma GCC unroll 4
        for (int t = 0; t < count; t++) {
            const __m256i values = avx2_broadcast(x[t][b].values + 2 * j);
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) {
                __m256i weights = W[v];
                __m256i product = _mm256_madd_epi16(weights, values);
                __m256i *dot = dots + t * vectors + v;
                *dot = j ? _mm256_add_epi32(*dot, product) : product;
                AVX2_KEEP(*dot);
            }
        }
    }
}

typedef struct {
    const uint8_t *tile;
    const float *scales;  /* [blocks][vectors][8] */
    long first, blocks;   /* of the chunk of each row that is unpacked */
} Avx2Tile;

/* Adds the products of a chunk to out[token * stride + row], which the first chunk sets. */
AVX2_INLINE void avx2_multiply_tokens(const Avx2Tile *tile, const int format, const int bits, const int vectors,
                                      const Activations *x, const long *tokens, const int count, float *const *out) {
    const long blocks = x->k / BLOCK, bytes = bits == 16 ? 512 : 256;
    const NarrowBlock *narrow[4];
    const WideBlock *wide[4];
    __m256 sums[4];
#pragma GCC unroll 4
    for (int t = 0; t < count; t++) {
        narrow[t] = x->narrow + tokens[t] * blocks + tile->first;
        wide[t] = x->wide + tokens[t] * blocks + tile->first;
        for (int v = 0; v < vectors; v++)
            sums[t * vectors + v] = tile->first ? _mm256_loadu_ps(out[t] + 8 * v) : _mm256_setzero_ps();
    }
    for (long b = 0; b < tile->blocks; b++) {
        __m256i dots[4];
        if (bits == 16)
            avx2_multiply_words(tile->tile + b * bytes * vectors, vectors, wide, b, count, dots);
        else if (format == FORMAT_MXFP4)
            avx2_multiply_mxfp4(tile->tile + b * bytes * vectors, vectors, narrow, b, count, dots);
        else
            avx2_multiply_int8(tile->tile + b * bytes * vectors, vectors, narrow, b, count, dots);
#pragma GCC unroll 4
        for (int t = 0; t < count; t++)
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) {
                const int i = t * vectors + v;
                __m256 scale = _mm256_set1_ps(bits == 16 ? wide[t][b].scale : narrow[t][b].scale);
                scale = _mm256_mul_ps(_mm256_load_ps(tile->scales + (b * vectors + v) * 8), scale);
                sums[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[i]), scale, sums[i]);
            }
    }
#pragma GCC unroll 4
    for (int t = 0; t < count; t++)
        for (int v = 0; v < vectors; v++) _mm256_storeu_ps(out[t] + 8 * v, sums[t * vectors + v]);
}

AVX2_INLINE void avx2_unpack_tile(const WeightMatrix *w, const int format, const int bits, const int vectors, long row,
                                  const Avx2Tile *tile, uint8_t *bytes, float *scales) {
    const long blocks = w->k / BLOCK, size = bits == 16 ? 512 : 256;
    const long packed = 8 * (format == FORMAT_MXFP4 ? BLOCK_BYTES : BLOCK); /* bytes of a block of 8 rows */
    const char *next = (const char *)w->weights + ((row / 8 + vectors) * blocks + tile->first * vectors) * packed;
    for (int v = 0; v < vectors; v++) {
        for (long b = 0; b < tile->blocks; b++) {
            /* The next rows are fetched in the meantime. */
            for (long line = 0; line < packed; line += 64)
                _mm_prefetch(next + (v * tile->blocks + b) * packed + line, _MM_HINT_T1);
            uint8_t *to = bytes + b * size * vectors + v * 32;
            const long block = (row + 8 * v) * blocks + tile->first + b;
            if (bits == 16)
                avx2_unpack_words(w, format, block, to, 32 * vectors);
            else
                avx2_unpack_bytes(w, format, block, to, 32 * vectors);
        }
        for (long b = 0; b < tile->blocks; b += 8)
            avx2_load_scales(w, format, row + 8 * v, tile->first + b, tile->blocks - b < 8 ? tile->blocks - b : 8,
                             scales + (b * vectors + v) * 8, 8 * vectors);
    }
}

/* Two vectors of 8 rows, and two tokens at a time, so that four sums stay in registers. */
AVX2_INLINE void avx2_multiply_many(const WeightMatrix *w, const int format, const int bits, long row,
                                    const Activations *x, const int32_t *tokens, long count, void *scratch, float *out,
                                    long stride) {
    enum { vectors = 2, step = 2 };
    const long blocks = w->k / BLOCK;
    float *scales = scratch;
    uint8_t *bytes = (uint8_t *)(scales + AVX2_CHUNK * 16);
    for (long first = 0; first < blocks; first += AVX2_CHUNK) {
        const long remaining = blocks - first < AVX2_CHUNK ? blocks - first : AVX2_CHUNK;
        const Avx2Tile tile = {bytes, scales, first, remaining};
        avx2_unpack_tile(w, format, bits, vectors, row, &tile, bytes, scales);
        for (long i = 0; i < count; i += step) {
            long chosen[step] = {0};
            float *to[step] = {0};
            for (int t = 0; t < step && i + t < count; t++) {
                chosen[t] = tokens ? tokens[i + t] : i + t;
                to[t] = out + (i + t) * stride;
            }
            if (i + step <= count)
                avx2_multiply_tokens(&tile, format, bits, vectors, x, chosen, step, to);
            else
                avx2_multiply_tokens(&tile, format, bits, vectors, x, chosen, 1, to);
        }
    }
}

/* ---- bfloat16 */

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

/* ---- the functions of the level */

#define AVX2_DEFINE_MULTIPLY(name, format, bits)                                                                       \
    AVX2 static void name(const WeightMatrix *w, long row, long rows, const Activations *x, const int32_t *tokens,     \
                          long count, void *scratch, float *out, long stride) {                                        \
        for (long r = 0; r < rows;) {                                                                                  \
            if (count > (format == FORMAT_INT8 ? 2 : 4) && r + 16 <= rows) {                                           \
                avx2_multiply_many(w, format, bits, row + r, x, tokens, count, scratch, out + r, stride);              \
                r += 16;                                                                                               \
                continue;                                                                                              \
            }                                                                                                          \
            for (long i = 0; i < count;) { /* the rows stay in the L1 cache */                                         \
                const long chosen[2] = {tokens ? tokens[i] : i, tokens && i + 1 < count ? tokens[i + 1] : i + 1};      \
                float *to = out + i * stride + r;                                                                      \
                if (i + 2 <= count)                                                                                    \
                    avx2_multiply_few(w, format, bits, row + r, x, chosen, 2, to, stride);                             \
                else                                                                                                   \
                    avx2_multiply_few(w, format, bits, row + r, x, chosen, 1, to, stride);                             \
                i += 2;                                                                                                \
            }                                                                                                          \
            r += 8;                                                                                                    \
        }                                                                                                              \
    }

AVX2_DEFINE_MULTIPLY(avx2_multiply_mxfp4_8, FORMAT_MXFP4, 8)
AVX2_DEFINE_MULTIPLY(avx2_multiply_mxfp4_16, FORMAT_MXFP4, 16)
AVX2_DEFINE_MULTIPLY(avx2_multiply_int8_8, FORMAT_INT8, 8)
AVX2_DEFINE_MULTIPLY(avx2_multiply_int8_16, FORMAT_INT8, 16)

static void avx2_multiply_rows(const WeightMatrix *w, long row, long rows, const Activations *x, const int32_t *tokens,
                               long count, void *scratch, float *out, long stride) {
    MultiplyRowsFunction function = w->format == FORMAT_BF16      ? avx2_multiply_bfloat16
                                    : w->format == FORMAT_MXFP4 ? w->bits == 8 ? avx2_multiply_mxfp4_8
                                                                                 : avx2_multiply_mxfp4_16
                                    : w->bits == 8                ? avx2_multiply_int8_8
                                                                  : avx2_multiply_int8_16;
    function(w, row, rows, x, tokens, count, scratch, out, stride);
}

AVX2 static void avx2_round_token(Activations *to, long token, const float *x) { round_numbers(to, token, x); }

#endif
