/* AVX2 with FMA: nearly every x86-64 processor since 2013 (Intel) and 2015 (AMD). See matrix.h. */
#ifndef GPTOSS_AVX2_MATRIX_H
#define GPTOSS_AVX2_MATRIX_H

#include "portable_matrix.h"

#define AVX2_ROWS 8 /* rows that are multiplied at once */
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX2_INLINE static inline __attribute__((always_inline)) AVX2

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

/* Unpacks 8 rows. Each vector holds the same four columns of all rows: [block][8][8 rows][4 columns]. */
AVX2 static void avx2_unpack_tile(PackedRows weights, long blocks, uint8_t *tile, float *scales) {
    const __m256i table = avx2_load_values(), nibble = _mm256_set1_epi8(15);
    const long row = blocks * BLOCK_BYTES;
    for (long b = 0; b < blocks; b++) {
        __m256i rows[4];
        for (int j = 0; j < 4; j++) {
            const uint8_t *start = weights.blocks + b * BLOCK_BYTES + j * row;
            rows[j] = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)start)),
                                              _mm_loadu_si128((const __m128i *)(start + 4 * row)), 1);
        }
        __m256i a = _mm256_unpacklo_epi32(rows[0], rows[1]), c = _mm256_unpackhi_epi32(rows[0], rows[1]);
        __m256i d = _mm256_unpacklo_epi32(rows[2], rows[3]), e = _mm256_unpackhi_epi32(rows[2], rows[3]);
        __m256i quarters[4] = {_mm256_unpacklo_epi64(a, d), _mm256_unpackhi_epi64(a, d), _mm256_unpacklo_epi64(c, e),
                               _mm256_unpackhi_epi64(c, e)};
        for (int j = 0; j < 4; j++) {
            __m256i low = _mm256_and_si256(quarters[j], nibble);
            __m256i high = _mm256_and_si256(_mm256_srli_epi16(quarters[j], 4), nibble);
            _mm256_storeu_si256((__m256i *)(tile + (b * 8 + j) * 32), _mm256_shuffle_epi8(table, low));
            _mm256_storeu_si256((__m256i *)(tile + (b * 8 + 4 + j) * 32), _mm256_shuffle_epi8(table, high));
        }
        for (int r = 0; r < 8; r++) scales[b * 8 + r] = decode_scale(weights.scales[r * blocks + b]);
    }
}

/* Dots of 8 rows with one token's block; `tile` holds the same four columns of all rows in each vector. */
AVX2_INLINE __m256i avx2_multiply_tile(const __m256i *tile, const int8_t *x, int32_t correction) {
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i dot = _mm256_set1_epi32(correction);
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) { /* a sum of four products, each at most 24 * 127 * 2, is below 2^15 */
        __m256i pairs = _mm256_setzero_si256();
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            int32_t four;
            memcpy(&four, x + half * 16 + 4 * j, 4);
            __m256i weights = _mm256_loadu_si256(tile + half * 4 + j);
            pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(weights, _mm256_set1_epi32(four)));
        }
        dot = _mm256_add_epi32(dot, _mm256_madd_epi16(pairs, ones));
    }
    return dot;
}

/* Unpacks 8 rows once, in L1, and multiplies them with every token, four at a time. */
AVX2_INLINE void avx2_multiply_unpacked(const uint8_t *tile, const float *scales, long blocks, const Activations *x,
                                        const int32_t *tokens, long first, const int count, float *out, long stride) {
    __m256 sums[4];
    long entries[4];
    for (int t = 0; t < count; t++) {
        sums[t] = _mm256_setzero_ps();
        entries[t] = (tokens ? tokens[first + t] : first + t) * blocks;
    }
    for (long b = 0; b < blocks; b++) {
        const __m256 half_scale = _mm256_mul_ps(_mm256_loadu_ps(scales + b * 8), _mm256_set1_ps(0.5f));
#pragma GCC unroll 4
        for (int t = 0; t < count; t++) {
            const long entry = entries[t] + b;
            __m256i dot = avx2_multiply_tile((const __m256i *)(tile + b * 256), x->narrow + entry * BLOCK,
                                             x->corrections[entry]);
            __m256 scale = _mm256_mul_ps(half_scale, _mm256_set1_ps(x->narrow_scales[entry]));
            sums[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), scale, sums[t]);
        }
    }
    for (int t = 0; t < count; t++) _mm256_storeu_ps(out + (first + t) * stride, sums[t]);
}

/* One block of the scales of 8 rows, eight blocks at a time: bytes[block][row]. */
AVX2_INLINE void avx2_transpose_scales(const uint8_t *scales, long stride, long remaining, uint8_t *bytes) {
    __m128i rows[8];
    for (int r = 0; r < 8; r++) {
        uint64_t eight = 0;
        if (remaining >= 8)
            memcpy(&eight, scales + r * stride, 8);
        else
            memcpy(&eight, scales + r * stride, (size_t)remaining);
        rows[r] = _mm_cvtsi64_si128((long long)eight);
    }
    __m128i a = _mm_unpacklo_epi8(rows[0], rows[1]), b = _mm_unpacklo_epi8(rows[2], rows[3]);
    __m128i c = _mm_unpacklo_epi8(rows[4], rows[5]), d = _mm_unpacklo_epi8(rows[6], rows[7]);
    __m128i e = _mm_unpacklo_epi16(a, b), f = _mm_unpackhi_epi16(a, b);
    __m128i g = _mm_unpacklo_epi16(c, d), h = _mm_unpackhi_epi16(c, d);
    _mm_storeu_si128((__m128i *)bytes, _mm_unpacklo_epi32(e, g));
    _mm_storeu_si128((__m128i *)bytes + 1, _mm_unpackhi_epi32(e, g));
    _mm_storeu_si128((__m128i *)bytes + 2, _mm_unpacklo_epi32(f, h));
    _mm_storeu_si128((__m128i *)bytes + 3, _mm_unpackhi_epi32(f, h));
}

/* Multiplies 8 packed rows with one token; the rows are unpacked in registers. */
AVX2 static void avx2_multiply_packed(PackedRows weights, long blocks, const Activations *x, long token, float *out) {
    const __m256i table = avx2_load_values(), nibble = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    const long row = blocks * BLOCK_BYTES;
    __m256 sum = _mm256_setzero_ps();
    uint8_t bytes[64];
    for (long b = 0; b < blocks; b++) {
        if (b % 8 == 0) avx2_transpose_scales(weights.scales + b, blocks, blocks - b, bytes);
        __m256i rows[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            const uint8_t *start = weights.blocks + b * BLOCK_BYTES + j * row;
            rows[j] = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)start)),
                                              _mm_loadu_si128((const __m128i *)(start + 4 * row)), 1);
        }
        _mm_prefetch((const char *)weights.blocks + 8 * row + b * 128, _MM_HINT_T0); /* the next 8 rows */
        _mm_prefetch((const char *)weights.blocks + 8 * row + b * 128 + 64, _MM_HINT_T0);
        __m256i a = _mm256_unpacklo_epi32(rows[0], rows[1]), c = _mm256_unpackhi_epi32(rows[0], rows[1]);
        __m256i d = _mm256_unpacklo_epi32(rows[2], rows[3]), e = _mm256_unpackhi_epi32(rows[2], rows[3]);
        __m256i quarters[4] = {_mm256_unpacklo_epi64(a, d), _mm256_unpackhi_epi64(a, d), _mm256_unpacklo_epi64(c, e),
                               _mm256_unpackhi_epi64(c, e)};
        const long entry = token * blocks + b;
        const int8_t *values = x->narrow + entry * BLOCK;
        __m256i even = _mm256_setzero_si256(), odd = even;
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            int32_t first, second;
            memcpy(&first, values + 4 * j, 4);
            memcpy(&second, values + 16 + 4 * j, 4);
            __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(quarters[j], nibble));
            __m256i high =
                _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(quarters[j], 4), nibble));
            even = _mm256_add_epi16(even, _mm256_maddubs_epi16(low, _mm256_set1_epi32(first)));
            odd = _mm256_add_epi16(odd, _mm256_maddubs_epi16(high, _mm256_set1_epi32(second)));
        }
        __m256i dot = _mm256_add_epi32(_mm256_madd_epi16(even, ones), _mm256_madd_epi16(odd, ones));
        dot = _mm256_add_epi32(dot, _mm256_set1_epi32(x->corrections[entry]));
        __m256 scale = _mm256_mul_ps(avx2_decode_scales(bytes + b % 8 * 8, 8), _mm256_set1_ps(0.5f));
        scale = _mm256_mul_ps(scale, _mm256_set1_ps(x->narrow_scales[entry]));
        sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), scale, sum);
    }
    _mm256_storeu_ps(out, sum);
}

AVX2 static void avx2_multiply_mxfp4(const WeightMatrix *w, long row, const Activations *x, const int32_t *tokens,
                                     long count, void *scratch, float *out, long stride) {
    const long blocks = w->k / BLOCK;
    uint8_t *tile = scratch;
    float *scales = (float *)(tile + blocks * BLOCK * 8);
    PackedRows rows = {(const uint8_t *)w->weights + row * blocks * BLOCK_BYTES,
                       (const uint8_t *)w->scales + row * blocks};
    if (count == 1) {
        avx2_multiply_packed(rows, blocks, x, tokens ? tokens[0] : 0, out);
        return;
    }
    avx2_unpack_tile(rows, blocks, tile, scales);
    long i = 0;
    for (; i + 4 <= count; i += 4) avx2_multiply_unpacked(tile, scales, blocks, x, tokens, i, 4, out, stride);
    for (; i < count; i++) avx2_multiply_unpacked(tile, scales, blocks, x, tokens, i, 1, out, stride);
}

/* Dots of one int8 block of 8 rows with 16-bit activations. */
AVX2_INLINE __m256i avx2_multiply_int8_block(const int8_t *w, long k, const int16_t *x) {
    const __m256i low = _mm256_loadu_si256((const __m256i *)x), high = _mm256_loadu_si256((const __m256i *)(x + 16));
    __m256i dots[8];
#pragma GCC unroll 8
    for (int r = 0; r < 8; r++) {
        const __m128i *from = (const __m128i *)(w + r * k);
        dots[r] = _mm256_add_epi32(_mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm_loadu_si128(from)), low),
                                   _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm_loadu_si128(from + 1)), high));
    }
    __m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(dots[0], dots[1]), _mm256_hadd_epi32(dots[2], dots[3]));
    __m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(dots[4], dots[5]), _mm256_hadd_epi32(dots[6], dots[7]));
    return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
}

AVX2 static void avx2_multiply_int8(const WeightMatrix *w, long row, const Activations *x, const int32_t *tokens,
                                    long count, float *out, long stride) {
    const long blocks = w->k / BLOCK;
    const int8_t *weights = (const int8_t *)w->weights + row * w->k;
    for (long i = 0; i < count; i++) {
        const long token = tokens ? tokens[i] : i;
        __m256 sum = _mm256_setzero_ps();
        for (long b = 0; b < blocks; b++) {
            float scales[8];
            for (int r = 0; r < 8; r++) scales[r] = get_weight_scale(w, (row + r) * blocks + b);
            const long entry = token * blocks + b;
            __m256i dot = avx2_multiply_int8_block(weights + b * BLOCK, w->k, x->wide + entry * BLOCK);
            __m256 scale = _mm256_mul_ps(_mm256_loadu_ps(scales), _mm256_set1_ps(x->wide_scales[entry]));
            sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), scale, sum);
        }
        _mm256_storeu_ps(out + i * stride, sum);
    }
}

AVX2 static void avx2_multiply_group(const WeightMatrix *w, long row, const Activations *x, const int32_t *tokens,
                                     long count, void *scratch, float *out, long stride) {
    if (w->format == FORMAT_MXFP4 && w->bits == 8)
        avx2_multiply_mxfp4(w, row, x, tokens, count, scratch, out, stride);
    else if (w->format == FORMAT_INT8 && w->bits == 16)
        avx2_multiply_int8(w, row, x, tokens, count, out, stride);
    else
        for (int r = 0; r < AVX2_ROWS; r++)
            portable_multiply_group(w, row + r, x, tokens, count, scratch, out + r, stride);
}

AVX2 static void avx2_round_token(Activations *to, long token, const float *x) { round_numbers(to, token, x); }

#endif
