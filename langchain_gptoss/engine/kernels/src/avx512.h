/* AVX-512 with VNNI and VBMI: Intel from Ice Lake on, AMD from Zen 4 on. */
#include "common.h"
#include "rounding.h"

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,fma,avx2")))
#define AVX512_INLINE static inline __attribute__((always_inline)) AVX512

/* The look-up uses the low six bits of a byte, so the table stands there four times and what a shift left in the
 * high nibble does not matter. */
AVX512_INLINE __m512i avx512_values(void) { return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)VALUES)); }

AVX512_INLINE __m512 avx512_scales(const uint8_t *scales, __mmask16 mask) {
    __m512i exponents = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, scales));
    __m512i bits = _mm512_slli_epi32(exponents, 23);
    bits = _mm512_mask_mov_epi32(bits, _mm512_testn_epi32_mask(exponents, exponents), _mm512_set1_epi32(0x00400000));
    __mmask16 nan = _mm512_cmpeq_epi32_mask(exponents, _mm512_set1_epi32(255));
    return _mm512_castsi512_ps(_mm512_mask_mov_epi32(bits, nan, _mm512_set1_epi32(0x7fc00000)));
}

/* Which of 16 blocks' scales each lane wants, when a vector holds `per` lanes of each of 16 / per blocks. */
AVX512_INLINE __m512i avx512_lanes(int first, int per) {
    const __m512i count = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_add_epi32(_mm512_set1_epi32(first), _mm512_srli_epi32(count, per == 4 ? 2 : 3));
}

/* Adds the products of four blocks with `count` tokens to `sums`; `at` is where their activations stand. */
AVX512_INLINE void avx512_quad(__m512i packed, const int8_t *const *high, long apart, long at, int quad,
                               const int count, const __m512 *both, __m512 *sums) {
    const __m512i table = avx512_values(), lanes = avx512_lanes(4 * quad, 4);
    const __m512i even = _mm512_permutexvar_epi8(packed, table);
    const __m512i odd = _mm512_permutexvar_epi8(_mm512_srli_epi16(packed, 4), table);
    for (int t = 0; t < count; t++) {
        const int8_t *place = high[t] + at;
        __m512i dot = _mm512_dpbusd_epi32(_mm512_setzero_si512(), even, _mm512_loadu_si512(place));
        dot = _mm512_slli_epi32(_mm512_dpbusd_epi32(dot, odd, _mm512_loadu_si512(place + 64)), 8);
        dot = _mm512_dpbusd_epi32(dot, even, _mm512_loadu_si512(place + apart));
        dot = _mm512_dpbusd_epi32(dot, odd, _mm512_loadu_si512(place + apart + 64));
        sums[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_permutexvar_ps(lanes, both[t]), sums[t]);
    }
}

AVX512_INLINE void avx512_row(Packed row, const Activations *x, const int32_t *tokens, const int count, float *out,
                              long stride) {
    const __m512 unit = _mm512_set1_ps(1 / 256.0f);
    const long apart = x->low - x->high;
    const int8_t *high[FEW];
    __m512 sums[FEW], spare[FEW], both[FEW];
    for (int t = 0; t < count; t++) {
        high[t] = x->high + tokens[t] * x->value_stride;
        sums[t] = spare[t] = _mm512_setzero_ps();
    }
    for (long first = 0; first < x->blocks; first += 16) {
        const long left = x->blocks - first < 16 ? x->blocks - first : 16;
        const __m512 scale = avx512_scales(row.scales + first, (__mmask16)((1u << left) - 1));
        for (int t = 0; t < count; t++) {
            const long place = tokens[t] * x->block_stride + first;
            both[t] = _mm512_mul_ps(scale, _mm512_mul_ps(_mm512_loadu_ps(x->scales + place), unit));
            __m512 surplus = _mm512_cvtepi32_ps(_mm512_loadu_si512(x->wide_surplus + place));
            spare[t] = _mm512_fmadd_ps(both[t], surplus, spare[t]);
        }
        const uint8_t *source = row.blocks + first * BLOCK_BYTES;
        if (left == 16) {
#pragma GCC unroll 4
            for (int quad = 0; quad < 4; quad++) {
                _mm_prefetch((const char *)source + quad * 64 + AHEAD, _MM_HINT_T0);
                avx512_quad(_mm512_loadu_si512(source + quad * 64), high, apart, (first + 4 * quad) * 32, quad, count,
                            both, sums);
            }
            continue;
        }
        for (int quad = 0; 4 * quad < left; quad++) {
            const long bytes = (left - 4 * quad) * BLOCK_BYTES;
            const __mmask64 there = bytes >= 64 ? ~0ull : (1ull << bytes) - 1;
            avx512_quad(_mm512_maskz_loadu_epi8(there, source + quad * 64), high, apart, (first + 4 * quad) * 32, quad,
                        count, both, sums);
        }
    }
    for (int t = 0; t < count; t++) out[t * stride] = _mm512_reduce_add_ps(_mm512_add_ps(sums[t], spare[t]));
}

AVX512 static void avx512_few(Packed weights, long rows, const Activations *x, const int32_t *tokens, int count,
                              float *out, long stride) {
    for (long r = 0; r < rows; r++) {
        Packed row = {weights.blocks + r * x->blocks * BLOCK_BYTES, weights.scales + r * x->blocks};
        switch (count) {
        case 1: avx512_row(row, x, tokens, 1, out + r, stride); break;
        case 2: avx512_row(row, x, tokens, 2, out + r, stride); break;
        case 3: avx512_row(row, x, tokens, 3, out + r, stride); break;
        default: avx512_row(row, x, tokens, 4, out + r, stride);
        }
    }
}

/* Unpacks 16 rows so that the same four places of all of them fill one vector: [block][8][16 rows][4 places]. */
AVX512 static void avx512_unpack(Packed weights, long blocks, uint8_t *tile, float *scales) {
    const __m512i table = avx512_values();
    const long row = blocks * BLOCK_BYTES;
    for (long b = 0; b < blocks; b++) {
        const uint8_t *source = weights.blocks + b * BLOCK_BYTES;
        __m512i rows[4];
        for (int j = 0; j < 4; j++) {
            const uint8_t *place = source + j * row;
            __m512i four = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)place));
            four = _mm512_inserti32x4(four, _mm_loadu_si128((const __m128i *)(place + 4 * row)), 1);
            four = _mm512_inserti32x4(four, _mm_loadu_si128((const __m128i *)(place + 8 * row)), 2);
            rows[j] = _mm512_inserti32x4(four, _mm_loadu_si128((const __m128i *)(place + 12 * row)), 3);
        }
        __m512i a = _mm512_unpacklo_epi32(rows[0], rows[1]), c = _mm512_unpackhi_epi32(rows[0], rows[1]);
        __m512i d = _mm512_unpacklo_epi32(rows[2], rows[3]), e = _mm512_unpackhi_epi32(rows[2], rows[3]);
        __m512i quarters[4] = {_mm512_unpacklo_epi64(a, d), _mm512_unpackhi_epi64(a, d), _mm512_unpacklo_epi64(c, e),
                               _mm512_unpackhi_epi64(c, e)};
        for (int j = 0; j < 4; j++) {
            __m512i high = _mm512_srli_epi16(quarters[j], 4);
            _mm512_storeu_si512(tile + (b * 8 + j) * 64, _mm512_permutexvar_epi8(quarters[j], table));
            _mm512_storeu_si512(tile + (b * 8 + 4 + j) * 64, _mm512_permutexvar_epi8(high, table));
        }
        for (int r = 0; r < TILE_ROWS; r++) scales[b * TILE_ROWS + r] = scale_of(weights.scales[r * blocks + b]);
    }
}

/* Adds the products of a block of 16 rows with `count` tokens side by side to `dots`. */
AVX512_INLINE void avx512_block(const uint8_t *tile, const int8_t *values, const int count, __m512i *dots) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++) {
        __m512i w = _mm512_loadu_si512(tile + j * 64);
#pragma GCC unroll 8
        for (int t = 0; t < count; t++) {
            int32_t four;
            memcpy(&four, values + t * BLOCK + 4 * j, 4);
            dots[t] = _mm512_dpbusd_epi32(dots[t], w, _mm512_set1_epi32(four));
        }
    }
}

AVX512_INLINE void avx512_group(const uint8_t *tile, const float *w_scales, const Panels *x, long group,
                                const int first, const int count, const int wide, float *out, long stride) {
    const long begin = group * x->blocks * GROUP + first;
    const int8_t *high = x->high + begin * BLOCK, *low = x->low + begin * BLOCK;
    const float *x_scales = x->scales + begin;
    const int32_t *surplus = (wide ? x->wide_surplus : x->surplus) + begin;
    const float unit = wide ? 1 / 256.0f : 1;
    __m512 sums[GROUP];
    for (int t = 0; t < count; t++) sums[t] = _mm512_setzero_ps();
    for (long b = 0; b < x->blocks; b++) {
        __m512i dots[GROUP];
        for (int t = 0; t < count; t++)
            dots[t] = wide ? _mm512_setzero_si512() : _mm512_set1_epi32(surplus[b * GROUP + t]);
        avx512_block(tile + b * 512, high + b * GROUP * BLOCK, count, dots);
        if (wide) {
            for (int t = 0; t < count; t++)
                dots[t] = _mm512_add_epi32(_mm512_slli_epi32(dots[t], 8), _mm512_set1_epi32(surplus[b * GROUP + t]));
            avx512_block(tile + b * 512, low + b * GROUP * BLOCK, count, dots);
        }
        __m512 scale = _mm512_mul_ps(_mm512_loadu_ps(w_scales + b * TILE_ROWS), _mm512_set1_ps(unit));
        for (int t = 0; t < count; t++) {
            __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(x_scales[b * GROUP + t]));
            sums[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[t]), both, sums[t]);
        }
    }
    for (int t = 0; t < count; t++) _mm512_storeu_ps(out + t * stride, sums[t]);
}

AVX512_INLINE void avx512_groups(const uint8_t *tile, const float *w_scales, const Panels *x, long group, long count,
                                 const int wide, const char *next, float *out, long stride) {
    const long groups = (count + GROUP - 1) / GROUP, lines = x->blocks * BLOCK_BYTES * TILE_ROWS / 64;
    for (long g = 0; g < groups; g++) {
        /* The next tile's weights come while this one is multiplied. */
        for (long line = lines * g / groups; line < lines * (g + 1) / groups; line++)
            _mm_prefetch(next + line * 64, _MM_HINT_T1);
        float *place = out + g * GROUP * stride;
        const long left = count - g * GROUP;
        if (left >= 8)
            avx512_group(tile, w_scales, x, group + g, 0, 8, wide, place, stride);
        else {
            if (left >= 4) avx512_group(tile, w_scales, x, group + g, 0, 4, wide, place, stride);
            for (int t = left >= 4 ? 4 : 0; t < left; t++)
                avx512_group(tile, w_scales, x, group + g, t, 1, wide, place + t * stride, stride);
        }
    }
}

AVX512 static void avx512_many(Packed weights, const Panels *x, long group, long count, int wide, void *room, float *out,
                               long stride) {
    uint8_t *tile = room;
    float *scales = (float *)(tile + x->blocks * BLOCK * TILE_ROWS);
    const char *next = (const char *)weights.blocks + TILE_ROWS * x->blocks * BLOCK_BYTES;
    avx512_unpack(weights, x->blocks, tile, scales);
    if (wide)
        avx512_groups(tile, scales, x, group, count, 1, next, out, stride);
    else
        avx512_groups(tile, scales, x, group, count, 0, next, out, stride);
}

AVX512_INLINE __m512 avx512_bfloat16(const uint16_t *values, __mmask16 mask) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, values)), 16));
}

/* As for packed rows: int8 weights plus 128 are unsigned, and activations have 15 bits. */
AVX512_INLINE void avx512_dense_row(const int8_t *w, const uint16_t *scales, const Activations *x, long first_token,
                                    const int count, float bias, float *out, long stride) {
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    const __m512 unit = _mm512_set1_ps(1 / 256.0f), offset = _mm512_set1_ps(128.0f / OFFSET);
    __m512 sums[4], spare[4], both[4];
    for (int t = 0; t < count; t++) sums[t] = spare[t] = _mm512_setzero_ps();
    for (long first = 0; first < x->blocks; first += 16) {
        const long left = x->blocks - first < 16 ? x->blocks - first : 16;
        const __m512 scale = avx512_bfloat16(scales + first, (__mmask16)((1u << left) - 1));
        for (int t = 0; t < count; t++) {
            const long place = (first_token + t) * x->block_stride + first;
            /* The scales are halved for doubled weights, which these are not. */
            both[t] = _mm512_mul_ps(scale, _mm512_mul_ps(_mm512_loadu_ps(x->scales + place), _mm512_add_ps(unit, unit)));
            __m512 surplus = _mm512_cvtepi32_ps(_mm512_loadu_si512(x->wide_surplus + place));
            spare[t] = _mm512_fmadd_ps(both[t], surplus, spare[t]);
        }
#pragma GCC unroll 8
        for (int pair = 0; pair < 8; pair++) {
            if (2 * pair >= left) break;
            const int8_t *source = w + (first + 2 * pair) * BLOCK;
            const __mmask64 there = 2 * pair + 1 < left ? ~0ull : 0xffffffffull;
            _mm_prefetch((const char *)source + AHEAD, _MM_HINT_T0);
            const __m512i values = _mm512_xor_si512(_mm512_maskz_loadu_epi8(there, source), flip);
            const __m512i lanes = avx512_lanes(2 * pair, 8);
            for (int t = 0; t < count; t++) {
                const long at = (first_token + t) * x->value_stride + (first + 2 * pair) * BLOCK;
                __m512i dot = _mm512_dpbusd_epi32(_mm512_setzero_si512(), values, _mm512_loadu_si512(x->high + at));
                dot = _mm512_dpbusd_epi32(_mm512_slli_epi32(dot, 8), values, _mm512_loadu_si512(x->low + at));
                sums[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_permutexvar_ps(lanes, both[t]), sums[t]);
            }
        }
    }
    for (int t = 0; t < count; t++)
        out[t * stride] = _mm512_reduce_add_ps(_mm512_fmadd_ps(spare[t], offset, sums[t])) + bias;
}

AVX512 static void avx512_dense(const int8_t *weights, const uint16_t *scales, long rows, long k, const float *x,
                                const Activations *rounded, long count, const float *bias, float *out, long stride) {
    (void)x;
    for (long r = 0; r < rows; r++) {
        const int8_t *w = weights + r * k;
        const uint16_t *s = scales + r * (k / BLOCK);
        const float b = bias ? bias[r] : 0;
        long t = 0;
        for (; t + 4 <= count; t += 4) avx512_dense_row(w, s, rounded, t, 4, b, out + t * stride + r, stride);
        for (; t < count; t++) avx512_dense_row(w, s, rounded, t, 1, b, out + t * stride + r, stride);
    }
}

AVX512 static void avx512_widen(const int8_t *weights, const uint16_t *scales, long blocks, float *out) {
    for (long b = 0; b < blocks; b++) {
        __m512 scale = _mm512_set1_ps(widened(scales[b]));
        for (int j = 0; j < BLOCK; j += 16) {
            __m128i sixteen = _mm_loadu_si128((const __m128i *)(weights + b * BLOCK + j));
            __m512 wide = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(sixteen));
            _mm512_storeu_ps(out + b * BLOCK + j, _mm512_mul_ps(wide, scale));
        }
    }
}

COMPILED_FOR(avx512, AVX512 static)

static const Kernels AVX512_KERNELS = {avx512_round, avx512_gate, avx512_few, avx512_many, avx512_dense, avx512_widen, avx512_norm, avx512_product, avx512_attend, QUADS, 1};
