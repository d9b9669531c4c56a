/* AVX2 with FMA: nearly every x86-64 processor since 2013 (Intel) and 2015 (AMD). See matrix.h. This file has the
 * products of MXFP4 weights. */
#ifndef GPTOSS_AVX2_MATRIX_H
#define GPTOSS_AVX2_MATRIX_H

#include "avx2_bfloat16.h"
#include "avx2_int4.h"
#include "avx2_int8.h"
#include "avx2_quantize.h"
#include "avx2_values.h"

#define AVX2_FEW 4 /* tokens at once before an unpacked tile is faster */

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
    return _mm256_add_epi16(_mm256_blend_epi32(a, b, 0xcc), _mm256_alignr_epi8(b, a, 8));
}

/* Products of one block of 8 rows. A vector holds rows j and j + 4; sums of eight products, each at most 24 * 127, are
 * below 2^15. */
AVX2_INLINE void avx2_dot_mxfp4(const uint8_t *from, long stride, const NarrowBlock *const *x, long b, const int count,
                                __m256i *dots) {
    const __m256i table = avx2_load_values(), nibble = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    __m256i halves[2][AVX2_FEW];
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        __m256i even[2], odd[2];
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            const __m256i bytes = avx2_load_two_rows(from + (2 * half + j) * stride, stride);
            even[j] = _mm256_shuffle_epi8(table, _mm256_and_si256(bytes, nibble));
            odd[j] = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble));
            AVX2_KEEP(even[j]);
            AVX2_KEEP(odd[j]);
        }
#pragma GCC unroll 4
        for (int t = 0; t < count; t++) {
            const __m128i *values = (const __m128i *)x[t][b].values;
            const __m256i first = _mm256_broadcastsi128_si256(_mm_loadu_si128(values));
            const __m256i second = _mm256_broadcastsi128_si256(_mm_loadu_si128(values + 1));
            __m256i low = _mm256_add_epi16(_mm256_maddubs_epi16(even[0], first), _mm256_maddubs_epi16(odd[0], second));
            __m256i high = _mm256_add_epi16(_mm256_maddubs_epi16(even[1], first), _mm256_maddubs_epi16(odd[1], second));
            halves[half][t] = _mm256_madd_epi16(avx2_fold(low, high), ones);
            AVX2_KEEP(halves[half][t]);
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

AVX2_INLINE void avx2_dot_wide(const uint8_t *from, long stride, const WideBlock *const *x, long b, const int count,
                               __m256i *dots) {
    __m256i rows[8];
    if (count > 1) /* unpacked once */
        for (int r = 0; r < 8; r++) rows[r] = avx2_unpack_row(from + r * stride);
#pragma GCC unroll 4
    for (int t = 0; t < count; t++) {
        const __m256i low = _mm256_loadu_si256((const __m256i *)x[t][b].values);
        const __m256i high = _mm256_loadu_si256((const __m256i *)(x[t][b].values + 16));
        __m256i parts[8];
#pragma GCC unroll 8
        for (int r = 0; r < 8; r++) {
            __m256i row = count > 1 ? rows[r] : avx2_unpack_row(from + r * stride);
            parts[r] = _mm256_add_epi32(
                _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm256_castsi256_si128(row)), low),
                _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm256_extracti128_si256(row, 1)), high));
        }
        dots[t] = avx2_add_parts(parts);
    }
}

AVX2_INLINE void avx2_multiply_few(const WeightMatrix *w, const int bits, long row, const Activations *x,
                                   const long *tokens, const int count, float *out, long stride) {
    const long blocks = w->k / BLOCK, row_bytes = blocks * BLOCK_BYTES;
    const uint8_t *from = (const uint8_t *)w->weights + row * row_bytes;
    /* The next 8 rows and their scales are fetched in the meantime. */
    const char *next = (const char *)from + 8 * row_bytes;
    const char *next_scales = (const char *)w->scales + (row + 8) * blocks;
    const NarrowBlock *narrow[AVX2_FEW];
    const WideBlock *wide[AVX2_FEW];
    __m256 sums[AVX2_FEW];
    Avx2Scales scales;
    for (int t = 0; t < count; t++) {
        narrow[t] = x->narrow + tokens[t] * blocks;
        wide[t] = x->wide + tokens[t] * blocks;
        sums[t] = _mm256_setzero_ps();
    }
    for (long first = 0; first < blocks; first += AVX2_SCALES) {
        const long end = blocks - first < AVX2_SCALES ? blocks : first + AVX2_SCALES;
        avx2_load_scales(w, row, first, &scales);
        for (long line = 0; line < 8 * AVX2_SCALES; line += 64)
            _mm_prefetch(next_scales + 8 * first + line, _MM_HINT_T0);
        for (long b = first; b < end; b++) {
            __m256i dots[AVX2_FEW];
            for (long line = 0; line < 8 * BLOCK_BYTES; line += 64)
                _mm_prefetch(next + b * 8 * BLOCK_BYTES + line, _MM_HINT_T0);
            if (bits == 16)
                avx2_dot_wide(from + b * BLOCK_BYTES, row_bytes, wide, b, count, dots);
            else
                avx2_dot_mxfp4(from + b * BLOCK_BYTES, row_bytes, narrow, b, count, dots);
            const __m256 row_scales = avx2_get_scales(w, row, b, &scales);
#pragma GCC unroll 4
            for (int t = 0; t < count; t++) {
                __m256 scale = _mm256_set1_ps(bits == 16 ? wide[t][b].scale : narrow[t][b].scale);
                sums[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[t]), _mm256_mul_ps(row_scales, scale), sums[t]);
            }
        }
    }
    for (int t = 0; t < count; t++) _mm256_storeu_ps(out + t * stride, sums[t]);
}

/* ---- many tokens: a tile of 16 rows is unpacked once */

/* Bytes: [block][8 parts][vectors][8 rows][4 columns] in the order of NarrowBlock. Values are offset. */
AVX2_INLINE void avx2_unpack_bytes(const uint8_t *from, long row_bytes, uint8_t *tile, long stride) {
    const __m256i table = avx2_load_values(), nibble = _mm256_set1_epi8(15);
    __m256i parts[8];
    avx2_load_quarters(from, row_bytes, parts);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        parts[j + 4] = _mm256_and_si256(_mm256_srli_epi16(parts[j], 4), nibble);
        parts[j + 4] = _mm256_shuffle_epi8(table, parts[j + 4]);
        parts[j] = _mm256_shuffle_epi8(table, _mm256_and_si256(parts[j], nibble));
    }
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++) _mm256_store_si256((__m256i *)(tile + j * stride), parts[j]);
}

/* int16: [block][16 parts][vectors][8 rows][2 columns]. */
AVX2_INLINE void avx2_unpack_words(const uint8_t *from, long row_bytes, uint8_t *tile, long stride) {
    __m256i low[8], high[8], parts[8];
#pragma GCC unroll 8
    for (int r = 0; r < 8; r++) {
        __m256i row = avx2_unpack_row(from + r * row_bytes);
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
AVX2_INLINE void avx2_multiply_tokens(const Avx2Tile *tile, const int bits, const int vectors, const Activations *x,
                                      const long *tokens, const int count, float *const *out) {
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
        else
            avx2_multiply_mxfp4(tile->tile + b * bytes * vectors, vectors, narrow, b, count, dots);
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

AVX2_INLINE void avx2_unpack_tile(const WeightMatrix *w, const int bits, const int vectors, long row,
                                  const Avx2Tile *tile, uint8_t *bytes, float *scales) {
    const long blocks = w->k / BLOCK, size = bits == 16 ? 512 : 256, row_bytes = blocks * BLOCK_BYTES;
    const long packed = 8 * BLOCK_BYTES; /* bytes of a block of 8 rows */
    const char *next = (const char *)w->weights + ((row / 8 + vectors) * blocks + tile->first * vectors) * packed;
    for (int v = 0; v < vectors; v++) {
        for (long b = 0; b < tile->blocks; b++) {
            /* The next rows are fetched in the meantime. */
            for (long line = 0; line < packed; line += 64)
                _mm_prefetch(next + (v * tile->blocks + b) * packed + line, _MM_HINT_T1);
            uint8_t *to = bytes + b * size * vectors + v * 32;
            const uint8_t *from =
                (const uint8_t *)w->weights + (row + 8 * v) * row_bytes + (tile->first + b) * BLOCK_BYTES;
            if (bits == 16)
                avx2_unpack_words(from, row_bytes, to, 32 * vectors);
            else
                avx2_unpack_bytes(from, row_bytes, to, 32 * vectors);
        }
        Avx2Scales turned;
        for (long b = 0; b < tile->blocks; b++) {
            if (b % AVX2_SCALES == 0) avx2_load_scales(w, row + 8 * v, tile->first + b, &turned);
            _mm256_store_ps(scales + (b * vectors + v) * 8, avx2_get_scales(w, row + 8 * v, tile->first + b, &turned));
        }
    }
}

/* Two vectors of 8 rows, and two tokens at a time, so that four sums stay in registers. */
AVX2_INLINE void avx2_multiply_many(const WeightMatrix *w, const int bits, long row, const Activations *x,
                                    const int32_t *tokens, long count, void *scratch, float *out, long stride) {
    enum { vectors = 2, step = 2 };
    const long blocks = w->k / BLOCK;
    float *scales = scratch;
    uint8_t *bytes = (uint8_t *)(scales + AVX2_CHUNK * 16);
    for (long first = 0; first < blocks; first += AVX2_CHUNK) {
        const long remaining = blocks - first < AVX2_CHUNK ? blocks - first : AVX2_CHUNK;
        const Avx2Tile tile = {bytes, scales, first, remaining};
        avx2_unpack_tile(w, bits, vectors, row, &tile, bytes, scales);
        for (long i = 0; i < count; i += step) {
            long chosen[step] = {0};
            float *to[step] = {0};
            for (int t = 0; t < step && i + t < count; t++) {
                chosen[t] = tokens ? tokens[i + t] : i + t;
                to[t] = out + (i + t) * stride;
            }
            if (i + step <= count)
                avx2_multiply_tokens(&tile, bits, vectors, x, chosen, step, to);
            else
                avx2_multiply_tokens(&tile, bits, vectors, x, chosen, 1, to);
        }
    }
}

/* ---- the functions of the level */

AVX2_INLINE void avx2_multiply_mxfp4_rows(const WeightMatrix *w, const int bits, long row, long rows,
                                          const Activations *x, const int32_t *tokens, long count, void *scratch,
                                          float *out, long stride) {
    const int largest = bits == 8 ? AVX2_FEW : 2; /* unpacked words need more registers */
    for (long r = 0; r < rows;) {
        if (count > AVX2_FEW && r + 16 <= rows) {
            avx2_multiply_many(w, bits, row + r, x, tokens, count, scratch, out + r, stride);
            r += 16;
            continue;
        }
        for (long i = 0; i < count; i += largest) { /* the rows stay in the L1 cache */
            long chosen[AVX2_FEW] = {0};
            for (int t = 0; t < largest && i + t < count; t++) chosen[t] = tokens ? tokens[i + t] : i + t;
            float *to = out + i * stride + r;
            switch (count - i < largest ? count - i : largest) { /* a constant, so that the sums stay in registers */
            case 1: avx2_multiply_few(w, bits, row + r, x, chosen, 1, to, stride); break;
            case 2: avx2_multiply_few(w, bits, row + r, x, chosen, 2, to, stride); break;
            case 3: avx2_multiply_few(w, bits, row + r, x, chosen, 3, to, stride); break;
            default: avx2_multiply_few(w, bits, row + r, x, chosen, AVX2_FEW, to, stride);
            }
        }
        r += 8;
    }
}

AVX2 static void avx2_multiply_mxfp4_8(const WeightMatrix *w, long row, long rows, const Activations *x,
                                       const int32_t *tokens, long count, void *scratch, float *out, long stride) {
    avx2_multiply_mxfp4_rows(w, 8, row, rows, x, tokens, count, scratch, out, stride);
}

AVX2 static void avx2_multiply_mxfp4_16(const WeightMatrix *w, long row, long rows, const Activations *x,
                                        const int32_t *tokens, long count, void *scratch, float *out, long stride) {
    avx2_multiply_mxfp4_rows(w, 16, row, rows, x, tokens, count, scratch, out, stride);
}

static void avx2_multiply_rows(const WeightMatrix *w, long row, long rows, const Activations *x, const int32_t *tokens,
                               long count, void *scratch, float *out, long stride) {
    MultiplyRowsFunction function = w->format == FORMAT_BF16   ? avx2_multiply_bfloat16
                                    : w->format == FORMAT_INT8 ? avx2_multiply_int8
                                    : w->format == FORMAT_INT4 ? avx2_multiply_int4
                                    : w->bits == 8             ? avx2_multiply_mxfp4_8
                                                               : avx2_multiply_mxfp4_16;
    function(w, row, rows, x, tokens, count, scratch, out, stride);
}

AVX2 static void avx2_round_token(Activations *to, long token, const float *x) { round_numbers(to, token, x); }

#endif
