/* AVX-512 with VNNI and VBMI: Intel since Ice Lake, AMD since Zen 4. See matrix.h. 16 rows are multiplied at once. This
 * file has the products of MXFP4 weights. */
#ifndef GPTOSS_AVX512_MATRIX_H
#define GPTOSS_AVX512_MATRIX_H

#include "avx2_matrix.h"
#include "avx512_int4.h"

#define AVX512_CHUNK 24 /* blocks that are unpacked at once: 16 rows of them fit into the L1 cache */

/* ---- loading 16 rows: lane i of a vector holds 16 bytes of row j + 4 * i */

/* The lookup uses the low six bits of a byte. The table is stored four times, so that the two upper bits, which a
 * shift leaves in the high nibble, have no effect. */
AVX512_INLINE __m512i avx512_load_values(void) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)VALUES));
}

AVX512_INLINE __m512i avx512_load_lanes(const void *row, long stride) {
    const uint8_t *from = row;
    __m512i lanes = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)from));
    lanes = _mm512_mask_broadcast_i32x4(lanes, 0x00f0, _mm_loadu_si128((const __m128i *)(from + 4 * stride)));
    lanes = _mm512_mask_broadcast_i32x4(lanes, 0x0f00, _mm_loadu_si128((const __m128i *)(from + 8 * stride)));
    return _mm512_mask_broadcast_i32x4(lanes, 0xf000, _mm_loadu_si128((const __m128i *)(from + 12 * stride)));
}

/* Turns 16 rows of four 32-bit parts around: parts[i] holds part i of rows 0 to 15. */
AVX512_INLINE void avx512_transpose(const __m512i *rows, __m512i *parts) {
    __m512i a = _mm512_unpacklo_epi32(rows[0], rows[1]), b = _mm512_unpackhi_epi32(rows[0], rows[1]);
    __m512i c = _mm512_unpacklo_epi32(rows[2], rows[3]), d = _mm512_unpackhi_epi32(rows[2], rows[3]);
    parts[0] = _mm512_unpacklo_epi64(a, c);
    parts[1] = _mm512_unpackhi_epi64(a, c);
    parts[2] = _mm512_unpacklo_epi64(b, d);
    parts[3] = _mm512_unpackhi_epi64(b, d);
}

/* Adds up the four parts in each lane of four vectors: lane i of the result holds rows 4 * i to 4 * i + 3. */
AVX512_INLINE __m512i avx512_add_parts(const __m512i *v) {
    __m512i parts[4];
    avx512_transpose(v, parts);
    return _mm512_add_epi32(_mm512_add_epi32(parts[0], parts[1]), _mm512_add_epi32(parts[2], parts[3]));
}

/* Columns 0 to 15 (half 0) or 16 to 31 of a block of rows j, j + 4, j + 8, j + 12, as int8. */
AVX512_INLINE void avx512_load_columns(const uint8_t *from, long stride, __m512i *halves) {
    const __m512i table = _mm512_sub_epi8(avx512_load_values(), _mm512_set1_epi8(VALUE_OFFSET));
    const __m512i bytes = avx512_load_lanes(from, stride);
    const __m512i even = _mm512_permutexvar_epi8(bytes, table);
    const __m512i odd = _mm512_permutexvar_epi8(_mm512_srli_epi16(bytes, 4), table);
    halves[0] = _mm512_unpacklo_epi8(even, odd);
    halves[1] = _mm512_unpackhi_epi8(even, odd);
}

/* int8 in columns 0 to 7 or 8 to 15 of a lane as int16. */
AVX512_INLINE __m512i avx512_widen(__m512i bytes, const int upper) {
    const __m512i zero = _mm512_setzero_si512();
    return _mm512_srai_epi16(upper ? _mm512_unpackhi_epi8(zero, bytes) : _mm512_unpacklo_epi8(zero, bytes), 8);
}

/* ---- few tokens: 16 rows are multiplied straight from memory */

AVX512_INLINE __m512i avx512_broadcast_lane(const void *from) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)from));
}

AVX512_INLINE void avx512_dot_mxfp4(const uint8_t *from, long stride, const NarrowBlock *const *x, long b,
                                    const int count, __m512i *dots) {
    const __m512i table = avx512_load_values();
    __m512i parts[4][4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        const __m512i bytes = avx512_load_lanes(from + j * stride, stride);
        const __m512i even = _mm512_permutexvar_epi8(bytes, table);
        const __m512i odd = _mm512_permutexvar_epi8(_mm512_srli_epi16(bytes, 4), table);
#pragma GCC unroll 4
        for (int t = 0; t < count; t++) {
            __m512i dot = _mm512_setzero_si512();
            dot = _mm512_dpbusd_epi32(dot, even, avx512_broadcast_lane(x[t][b].values));
            parts[t][j] = _mm512_dpbusd_epi32(dot, odd, avx512_broadcast_lane(x[t][b].values + 16));
        }
    }
#pragma GCC unroll 4
    for (int t = 0; t < count; t++)
        dots[t] = _mm512_add_epi32(avx512_add_parts(parts[t]), _mm512_set1_epi32(x[t][b].value_correction));
}

AVX512_INLINE void avx512_dot_wide(const uint8_t *from, long stride, const WideBlock *const *x, long b,
                                   const int count, __m512i *dots) {
    __m512i parts[4][4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        __m512i halves[2];
        avx512_load_columns(from + j * stride, stride, halves);
#pragma GCC unroll 4
        for (int t = 0; t < count; t++) {
            __m512i dot = _mm512_setzero_si512();
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                dot = _mm512_dpwssd_epi32(dot, avx512_widen(halves[i / 2], i % 2),
                                          avx512_broadcast_lane(x[t][b].values + 8 * i));
            parts[t][j] = dot;
        }
    }
#pragma GCC unroll 4
    for (int t = 0; t < count; t++) dots[t] = avx512_add_parts(parts[t]);
}

/* Stores half of the scales of 16 rows, from `block` on. */
AVX512_INLINE void avx512_load_scales(const WeightMatrix *w, long row, long block, long blocks, float *to) {
    const long count = blocks - block < AVX2_SCALES ? blocks - block : AVX2_SCALES;
    Avx2Scales scales[2];
    avx2_load_scales(w, row, block, scales);
    avx2_load_scales(w, row + 8, block, scales + 1);
    for (long b = 0; b < count; b++) {
        _mm256_storeu_ps(to + b * 16, avx2_get_scales(w, row, block + b, scales));
        _mm256_storeu_ps(to + b * 16 + 8, avx2_get_scales(w, row + 8, block + b, scales + 1));
    }
}

AVX512_INLINE void avx512_multiply_few(const WeightMatrix *w, const int bits, long row, const Activations *x,
                                       const long *tokens, const int count, float *out, long stride) {
    const long blocks = w->k / BLOCK, row_bytes = blocks * BLOCK_BYTES;
    const uint8_t *from = (const uint8_t *)w->weights + row * row_bytes;
    const char *next = (const char *)from + 16 * row_bytes; /* the next 16 rows are fetched in the meantime */
    const NarrowBlock *narrow[4];
    const WideBlock *wide[4];
    __m512 sums[4];
    float scales[AVX2_SCALES * 16];
    for (int t = 0; t < count; t++) {
        narrow[t] = x->narrow + tokens[t] * blocks;
        wide[t] = x->wide + tokens[t] * blocks;
        sums[t] = _mm512_setzero_ps();
    }
    for (long b = 0; b < blocks; b++) {
        __m512i dots[4];
        if (b % AVX2_SCALES == 0) avx512_load_scales(w, row, b, blocks, scales);
        for (long line = 0; line < 16 * BLOCK_BYTES; line += 64)
            _mm_prefetch(next + b * 16 * BLOCK_BYTES + line, _MM_HINT_T0);
        if (bits == 16)
            avx512_dot_wide(from + b * BLOCK_BYTES, row_bytes, wide, b, count, dots);
        else
            avx512_dot_mxfp4(from + b * BLOCK_BYTES, row_bytes, narrow, b, count, dots);
        const __m512 row_scales = _mm512_loadu_ps(scales + b % AVX2_SCALES * 16);
#pragma GCC unroll 4
        for (int t = 0; t < count; t++) {
            __m512 scale = _mm512_set1_ps(bits == 16 ? wide[t][b].scale : narrow[t][b].scale);
            sums[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[t]), _mm512_mul_ps(row_scales, scale), sums[t]);
        }
    }
    for (int t = 0; t < count; t++) _mm512_storeu_ps(out + t * stride, sums[t]);
}

/* ---- many tokens: a tile of 16 rows is unpacked once */

/* Bytes: [8 parts][16 rows][4 columns] in the order of NarrowBlock. Values are offset, so that they are unsigned. */
AVX512_INLINE void avx512_unpack_bytes(const uint8_t *from, long row_bytes, uint8_t *tile) {
    const __m512i table = avx512_load_values();
    __m512i even[4], odd[4], parts[8];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        const __m512i bytes = avx512_load_lanes(from + j * row_bytes, row_bytes);
        even[j] = _mm512_permutexvar_epi8(bytes, table);
        odd[j] = _mm512_permutexvar_epi8(_mm512_srli_epi16(bytes, 4), table);
    }
    avx512_transpose(even, parts);
    avx512_transpose(odd, parts + 4);
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++) _mm512_store_si512(tile + j * 64, parts[j]);
}

/* int16: [16 parts][16 rows][2 columns]. */
AVX512_INLINE void avx512_unpack_words(const uint8_t *from, long row_bytes, uint8_t *tile) {
    __m512i halves[4][2];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) avx512_load_columns(from + j * row_bytes, row_bytes, halves[j]);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __m512i rows[4], parts[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) rows[j] = avx512_widen(halves[j][i / 2], i % 2);
        avx512_transpose(rows, parts);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) _mm512_store_si512(tile + (4 * i + j) * 64, parts[j]);
    }
}

typedef struct {
    const uint8_t *bytes;
    const float *scales; /* [blocks][16] */
    long first, blocks;  /* of the chunk of each row that is unpacked */
} Avx512Tile;

/* Adds the products of a chunk to out[token][row], which the first chunk sets. */
AVX512_INLINE void avx512_multiply_tokens(const Avx512Tile *tile, const int bits, const Activations *x,
                                          const long *tokens, const int count, float *const *out) {
    const long blocks = x->k / BLOCK;
    const int parts = bits == 16 ? 16 : 8;
    const NarrowBlock *narrow[4];
    const WideBlock *wide[4];
    __m512 sums[4];
#pragma GCC unroll 4
    for (int t = 0; t < count; t++) {
        narrow[t] = x->narrow + tokens[t] * blocks + tile->first;
        wide[t] = x->wide + tokens[t] * blocks + tile->first;
        sums[t] = tile->first ? _mm512_loadu_ps(out[t]) : _mm512_setzero_ps();
    }
    for (long b = 0; b < tile->blocks; b++) {
        __m512i dots[4];
#pragma GCC unroll 4
        for (int t = 0; t < count; t++)
            dots[t] = bits == 16 ? _mm512_setzero_si512() : _mm512_set1_epi32(narrow[t][b].value_correction);
#pragma GCC unroll 16
        for (int j = 0; j < parts; j++) {
            const __m512i weights = _mm512_load_si512(tile->bytes + (b * parts + j) * 64);
#pragma GCC unroll 4
            for (int t = 0; t < count; t++)
                dots[t] = bits == 16
                              ? _mm512_dpwssd_epi32(dots[t], weights, avx512_broadcast(wide[t][b].values + 2 * j))
                              : _mm512_dpbusd_epi32(dots[t], weights, avx512_broadcast(narrow[t][b].values + 4 * j));
        }
        const __m512 row_scales = _mm512_load_ps(tile->scales + b * 16);
#pragma GCC unroll 4
        for (int t = 0; t < count; t++) {
            __m512 scale = _mm512_set1_ps(bits == 16 ? wide[t][b].scale : narrow[t][b].scale);
            sums[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[t]), _mm512_mul_ps(row_scales, scale), sums[t]);
        }
    }
#pragma GCC unroll 4
    for (int t = 0; t < count; t++) _mm512_storeu_ps(out[t], sums[t]);
}

AVX512_INLINE void avx512_multiply_many(const WeightMatrix *w, const int bits, long row, const Activations *x,
                                        const int32_t *tokens, long count, void *scratch, float *out, long stride) {
    const long blocks = w->k / BLOCK, row_bytes = blocks * BLOCK_BYTES, packed = 16 * BLOCK_BYTES;
    const uint8_t *from = (const uint8_t *)w->weights + row * row_bytes;
    const char *next = (const char *)w->weights + (row / 16 + 1) * blocks * packed;
    float *scales = scratch;
    uint8_t *bytes = (uint8_t *)(scales + AVX512_CHUNK * 16);
    for (long first = 0; first < blocks; first += AVX512_CHUNK) {
        const long remaining = blocks - first < AVX512_CHUNK ? blocks - first : AVX512_CHUNK;
        const Avx512Tile tile = {bytes, scales, first, remaining};
        for (long b = 0; b < remaining; b++) {
            if (b % AVX2_SCALES == 0) avx512_load_scales(w, row, first + b, first + remaining, scales + b * 16);
            /* The next rows are fetched in the meantime. */
            for (long line = 0; line < packed; line += 64)
                _mm_prefetch(next + (first + b) * packed + line, _MM_HINT_T1);
            if (bits == 16)
                avx512_unpack_words(from + (first + b) * BLOCK_BYTES, row_bytes, bytes + b * 1024);
            else
                avx512_unpack_bytes(from + (first + b) * BLOCK_BYTES, row_bytes, bytes + b * 512);
        }
        for (long i = 0; i < count;) {
            long chosen[4] = {0};
            float *to[4] = {0};
            for (int t = 0; t < 4 && i + t < count; t++) {
                chosen[t] = tokens ? tokens[i + t] : i + t;
                to[t] = out + (i + t) * stride;
            }
            if (i + 4 <= count) {
                avx512_multiply_tokens(&tile, bits, x, chosen, 4, to);
                i += 4;
            } else {
                avx512_multiply_tokens(&tile, bits, x, chosen, 1, to);
                i++;
            }
        }
    }
}

/* ---- the functions of the level */

AVX512_INLINE void avx512_multiply_mxfp4_rows(const WeightMatrix *w, const int bits, long row, long rows,
                                              const Activations *x, const int32_t *tokens, long count, void *scratch,
                                              float *out, long stride) {
    for (long r = 0; r < rows; r += 16) {
        if (count > 4) {
            avx512_multiply_many(w, bits, row + r, x, tokens, count, scratch, out + r, stride);
            continue;
        }
        for (long i = 0; i < count; i += 2) { /* the rows stay in the L1 cache */
            const long chosen[2] = {tokens ? tokens[i] : i, tokens && i + 1 < count ? tokens[i + 1] : i + 1};
            float *to = out + i * stride + r;
            if (i + 2 <= count)
                avx512_multiply_few(w, bits, row + r, x, chosen, 2, to, stride);
            else
                avx512_multiply_few(w, bits, row + r, x, chosen, 1, to, stride);
        }
    }
}

AVX512 static void avx512_multiply_mxfp4_8(const WeightMatrix *w, long row, long rows, const Activations *x,
                                           const int32_t *tokens, long count, void *scratch, float *out, long stride) {
    avx512_multiply_mxfp4_rows(w, 8, row, rows, x, tokens, count, scratch, out, stride);
}

AVX512 static void avx512_multiply_mxfp4_16(const WeightMatrix *w, long row, long rows, const Activations *x,
                                            const int32_t *tokens, long count, void *scratch, float *out, long stride) {
    avx512_multiply_mxfp4_rows(w, 16, row, rows, x, tokens, count, scratch, out, stride);
}

/* bfloat16, and 8 rows that remain, have AVX2's functions. So have int8 and int4 rows with one token: most instructions
 * load there, and Zen 4 loads 256 bits twice as often as 512, which makes a decode step 7 % faster. */
static void avx512_multiply_rows(const WeightMatrix *w, long row, long rows, const Activations *x,
                                 const int32_t *tokens, long count, void *scratch, float *out, long stride) {
    MultiplyRowsFunction function = w->format == FORMAT_INT8   ? avx512_multiply_int8
                                    : w->format == FORMAT_INT4 ? avx512_multiply_int4
                                    : w->bits == 8             ? avx512_multiply_mxfp4_8
                                                               : avx512_multiply_mxfp4_16;
    const long whole = w->format == FORMAT_BF16 || (count == 1 && is_grouped(w)) ? 0 : rows / 16 * 16;
    if (whole) function(w, row, whole, x, tokens, count, scratch, out, stride);
    if (whole < rows)
        avx2_multiply_rows(w, row + whole, rows - whole, x, tokens, count, scratch, out + whole, stride);
}

AVX512 static void avx512_round_token(Activations *to, long token, const float *x) { round_numbers(to, token, x); }

#endif
