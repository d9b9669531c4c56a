/* AVX-512 with VNNI and VBMI: Intel since Ice Lake, AMD since Zen 4. */
#include "common.h"
#include "generic.h"

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,fma,avx2")))
#define AVX512_INLINE static inline __attribute__((always_inline)) AVX512

/* The lookup uses the low six bits of a byte. The table is stored four times, so that the two upper bits, which a
 * shift leaves in the high nibble, have no effect. */
AVX512_INLINE __m512i avx512_load_values(void) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)VALUES));
}

AVX512_INLINE __m512 avx512_decode_scales(const uint8_t *scales, __mmask16 mask) {
    __m512i exponents = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, scales));
    __m512i bits = _mm512_slli_epi32(exponents, 23);
    bits = _mm512_mask_mov_epi32(bits, _mm512_testn_epi32_mask(exponents, exponents), _mm512_set1_epi32(0x00400000));
    __mmask16 nan = _mm512_cmpeq_epi32_mask(exponents, _mm512_set1_epi32(255));
    return _mm512_castsi512_ps(_mm512_mask_mov_epi32(bits, nan, _mm512_set1_epi32(0x7fc00000)));
}

/* For each lane, the number of the block whose scale it needs: `per` lanes for each of 16 / per blocks. */
AVX512_INLINE __m512i avx512_select_lanes(int first, int per) {
    const __m512i count = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_add_epi32(_mm512_set1_epi32(first), _mm512_srli_epi32(count, per == 4 ? 2 : 3));
}

/* Multiplies four blocks with `count` tokens and adds the products to `sums`; `at` is the offset of the activations. */
AVX512_INLINE void avx512_multiply_quad(__m512i packed, const int8_t *const *high, long low_distance, long at, int quad,
                               const int count, const __m512 *scale_products, __m512 *sums) {
    const __m512i table = avx512_load_values(), lanes = avx512_select_lanes(4 * quad, 4);
    const __m512i even = _mm512_permutexvar_epi8(packed, table);
    const __m512i odd = _mm512_permutexvar_epi8(_mm512_srli_epi16(packed, 4), table);
    for (int t = 0; t < count; t++) {
        const int8_t *start = high[t] + at;
        __m512i dot = _mm512_dpbusd_epi32(_mm512_setzero_si512(), even, _mm512_loadu_si512(start));
        dot = _mm512_slli_epi32(_mm512_dpbusd_epi32(dot, odd, _mm512_loadu_si512(start + 64)), 8);
        dot = _mm512_dpbusd_epi32(dot, even, _mm512_loadu_si512(start + low_distance));
        dot = _mm512_dpbusd_epi32(dot, odd, _mm512_loadu_si512(start + low_distance + 64));
        sums[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_permutexvar_ps(lanes, scale_products[t]), sums[t]);
    }
}

AVX512_INLINE void avx512_gemv_row(PackedRows row, const RowActivations *x, const int32_t *tokens, const int count,
                                   float *out, long stride) {
    const __m512 unit = _mm512_set1_ps(1 / 256.0f);
    const long low_distance = x->low - x->high;
    const int8_t *high[GEMV_MAX_TOKENS];
    __m512 sums[GEMV_MAX_TOKENS], corrections[GEMV_MAX_TOKENS], scale_products[GEMV_MAX_TOKENS];
    for (int t = 0; t < count; t++) {
        high[t] = x->high + tokens[t] * x->value_stride;
        sums[t] = corrections[t] = _mm512_setzero_ps();
    }
    for (long first = 0; first < x->blocks; first += 16) {
        const long remaining = x->blocks - first < 16 ? x->blocks - first : 16;
        const __m512 scale = avx512_decode_scales(row.scales + first, (__mmask16)((1u << remaining) - 1));
        for (int t = 0; t < count; t++) {
            const long start = tokens[t] * x->block_stride + first;
            scale_products[t] = _mm512_mul_ps(scale, _mm512_mul_ps(_mm512_loadu_ps(x->scales + start), unit));
            __m512 correction = _mm512_cvtepi32_ps(_mm512_loadu_si512(x->wide_correction + start));
            corrections[t] = _mm512_fmadd_ps(scale_products[t], correction, corrections[t]);
        }
        const uint8_t *source = row.blocks + first * BLOCK_BYTES;
        if (remaining == 16) {
#pragma GCC unroll 4
            for (int quad = 0; quad < 4; quad++) {
                _mm_prefetch((const char *)source + quad * 64 + PREFETCH_BYTES, _MM_HINT_T0);
                avx512_multiply_quad(_mm512_loadu_si512(source + quad * 64), high, low_distance,
                                     (first + 4 * quad) * 32, quad, count, scale_products, sums);
            }
            continue;
        }
        for (int quad = 0; 4 * quad < remaining; quad++) {
            const long bytes = (remaining - 4 * quad) * BLOCK_BYTES;
            const __mmask64 byte_mask = bytes >= 64 ? ~0ull : (1ull << bytes) - 1;
            avx512_multiply_quad(_mm512_maskz_loadu_epi8(byte_mask, source + quad * 64), high, low_distance,
                                 (first + 4 * quad) * 32, quad, count, scale_products, sums);
        }
    }
    for (int t = 0; t < count; t++) out[t * stride] = _mm512_reduce_add_ps(_mm512_add_ps(sums[t], corrections[t]));
}

AVX512 static void avx512_gemv(PackedRows weights, long rows, const RowActivations *x, const int32_t *tokens, int count,
                        void *scratch, float *out, long stride) {
    (void)scratch; /* rows are unpacked in registers */
    for (long r = 0; r < rows; r++) {
        PackedRows row = {weights.blocks + r * x->blocks * BLOCK_BYTES, weights.scales + r * x->blocks};
        switch (count) {
        case 1: avx512_gemv_row(row, x, tokens, 1, out + r, stride); break;
        case 2: avx512_gemv_row(row, x, tokens, 2, out + r, stride); break;
        case 3: avx512_gemv_row(row, x, tokens, 3, out + r, stride); break;
        default: avx512_gemv_row(row, x, tokens, 4, out + r, stride);
        }
    }
}

/* Unpacks 16 rows. Each vector holds the same four columns of all rows: [block][8][16 rows][4 columns]. */
AVX512 static void avx512_unpack_tile(PackedRows weights, long blocks, uint8_t *tile, float *scales) {
    const __m512i table = avx512_load_values();
    const long row = blocks * BLOCK_BYTES;
    for (long b = 0; b < blocks; b++) {
        const uint8_t *source = weights.blocks + b * BLOCK_BYTES;
        __m512i rows[4];
        for (int j = 0; j < 4; j++) {
            const uint8_t *start = source + j * row;
            __m512i four = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)start));
            four = _mm512_inserti32x4(four, _mm_loadu_si128((const __m128i *)(start + 4 * row)), 1);
            four = _mm512_inserti32x4(four, _mm_loadu_si128((const __m128i *)(start + 8 * row)), 2);
            rows[j] = _mm512_inserti32x4(four, _mm_loadu_si128((const __m128i *)(start + 12 * row)), 3);
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
        for (int r = 0; r < TILE_ROWS; r++) scales[b * TILE_ROWS + r] = decode_scale(weights.scales[r * blocks + b]);
    }
}

/* Multiplies one block of 16 rows with `count` adjacent tokens and adds the products to `dots`. */
AVX512_INLINE void avx512_multiply_block(const uint8_t *tile, const int8_t *values, const int count, __m512i *dots) {
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

AVX512_INLINE void avx512_multiply_tokens(const uint8_t *tile, const float *w_scales, const PanelActivations *x,
                                          long panel, const int first, const int count, const int wide, float *out,
                                          long stride) {
    const long begin = panel * x->blocks * PANEL_TOKENS + first;
    const int8_t *high = x->high + begin * BLOCK, *low = x->low + begin * BLOCK;
    const float *x_scales = x->scales + begin;
    const int32_t *correction = (wide ? x->wide_correction : x->correction) + begin;
    const float unit = wide ? 1 / 256.0f : 1;
    __m512 sums[PANEL_TOKENS];
    for (int t = 0; t < count; t++) sums[t] = _mm512_setzero_ps();
    for (long b = 0; b < x->blocks; b++) {
        __m512i dots[PANEL_TOKENS];
        for (int t = 0; t < count; t++)
            dots[t] = wide ? _mm512_setzero_si512() : _mm512_set1_epi32(correction[b * PANEL_TOKENS + t]);
        avx512_multiply_block(tile + b * 512, high + b * PANEL_TOKENS * BLOCK, count, dots);
        if (wide) {
            for (int t = 0; t < count; t++)
                dots[t] = _mm512_add_epi32(_mm512_slli_epi32(dots[t], 8),
                                           _mm512_set1_epi32(correction[b * PANEL_TOKENS + t]));
            avx512_multiply_block(tile + b * 512, low + b * PANEL_TOKENS * BLOCK, count, dots);
        }
        __m512 scale = _mm512_mul_ps(_mm512_loadu_ps(w_scales + b * TILE_ROWS), _mm512_set1_ps(unit));
        for (int t = 0; t < count; t++) {
            __m512 scale_products = _mm512_mul_ps(scale, _mm512_set1_ps(x_scales[b * PANEL_TOKENS + t]));
            sums[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[t]), scale_products, sums[t]);
        }
    }
    for (int t = 0; t < count; t++) _mm512_storeu_ps(out + t * stride, sums[t]);
}

AVX512_INLINE void avx512_multiply_panels(const uint8_t *tile, const float *w_scales, const PanelActivations *x,
                                          long panel, long count, const int wide, const char *next, float *out,
                                          long stride) {
    const long panels = (count + PANEL_TOKENS - 1) / PANEL_TOKENS, lines = x->blocks * BLOCK_BYTES * TILE_ROWS / 64;
    for (long g = 0; g < panels; g++) {
        /* Fetch the weights of the next tile while this one is multiplied. */
        for (long line = lines * g / panels; line < lines * (g + 1) / panels; line++)
            _mm_prefetch(next + line * 64, _MM_HINT_T1);
        float *start = out + g * PANEL_TOKENS * stride;
        const long remaining = count - g * PANEL_TOKENS;
        if (remaining >= 8)
            avx512_multiply_tokens(tile, w_scales, x, panel + g, 0, 8, wide, start, stride);
        else {
            if (remaining >= 4) avx512_multiply_tokens(tile, w_scales, x, panel + g, 0, 4, wide, start, stride);
            for (int t = remaining >= 4 ? 4 : 0; t < remaining; t++)
                avx512_multiply_tokens(tile, w_scales, x, panel + g, t, 1, wide, start + t * stride, stride);
        }
    }
}

AVX512 static void avx512_gemm(PackedRows weights, const PanelActivations *x, long panel, long count, int wide,
                               void *scratch, float *out, long stride) {
    uint8_t *tile = scratch;
    float *scales = (float *)(tile + x->blocks * BLOCK * TILE_ROWS);
    const char *next = (const char *)weights.blocks + TILE_ROWS * x->blocks * BLOCK_BYTES;
    avx512_unpack_tile(weights, x->blocks, tile, scales);
    if (wide)
        avx512_multiply_panels(tile, scales, x, panel, count, 1, next, out, stride);
    else
        avx512_multiply_panels(tile, scales, x, panel, count, 0, next, out, stride);
}

AVX512_INLINE __m512 avx512_load_bfloat16(const uint16_t *values, __mmask16 mask) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, values)), 16));
}

/* Like packed rows: int8 weights plus 128 are unsigned, and activations have 15 bits. */
AVX512_INLINE void avx512_int8_gemv_row(const int8_t *w, const uint16_t *scales, const RowActivations *x,
                                        long first_token, const int count, float bias, float *out, long stride) {
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    const __m512 unit = _mm512_set1_ps(1 / 256.0f), offset = _mm512_set1_ps(128.0f / VALUE_OFFSET);
    __m512 sums[4], corrections[4], scale_products[4];
    for (int t = 0; t < count; t++) sums[t] = corrections[t] = _mm512_setzero_ps();
    for (long first = 0; first < x->blocks; first += 16) {
        const long remaining = x->blocks - first < 16 ? x->blocks - first : 16;
        const __m512 scale = avx512_load_bfloat16(scales + first, (__mmask16)((1u << remaining) - 1));
        for (int t = 0; t < count; t++) {
            const long start = (first_token + t) * x->block_stride + first;
            /* The scales are halved for doubled weights; int8 weights are not doubled, so undo that. */
            scale_products[t] = _mm512_mul_ps(scale,
                                              _mm512_mul_ps(_mm512_loadu_ps(x->scales + start),
                                                            _mm512_add_ps(unit, unit)));
            __m512 correction = _mm512_cvtepi32_ps(_mm512_loadu_si512(x->wide_correction + start));
            corrections[t] = _mm512_fmadd_ps(scale_products[t], correction, corrections[t]);
        }
#pragma GCC unroll 8
        for (int pair = 0; pair < 8; pair++) {
            if (2 * pair >= remaining) break;
            const int8_t *source = w + (first + 2 * pair) * BLOCK;
            const __mmask64 byte_mask = 2 * pair + 1 < remaining ? ~0ull : 0xffffffffull;
            _mm_prefetch((const char *)source + PREFETCH_BYTES, _MM_HINT_T0);
            const __m512i values = _mm512_xor_si512(_mm512_maskz_loadu_epi8(byte_mask, source), flip);
            const __m512i lanes = avx512_select_lanes(2 * pair, 8);
            for (int t = 0; t < count; t++) {
                const long at = (first_token + t) * x->value_stride + (first + 2 * pair) * BLOCK;
                __m512i dot = _mm512_dpbusd_epi32(_mm512_setzero_si512(), values, _mm512_loadu_si512(x->high + at));
                dot = _mm512_dpbusd_epi32(_mm512_slli_epi32(dot, 8), values, _mm512_loadu_si512(x->low + at));
                sums[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_permutexvar_ps(lanes, scale_products[t]),
                                          sums[t]);
            }
        }
    }
    for (int t = 0; t < count; t++)
        out[t * stride] = _mm512_reduce_add_ps(_mm512_fmadd_ps(corrections[t], offset, sums[t])) + bias;
}

AVX512 static void avx512_int8_gemv(const int8_t *weights, const uint16_t *scales, long rows, long k, const float *x,
                                const RowActivations *rounded, long count, const float *bias, float *out, long stride) {
    (void)x;
    for (long r = 0; r < rows; r++) {
        const int8_t *w = weights + r * k;
        const uint16_t *s = scales + r * (k / BLOCK);
        const float b = bias ? bias[r] : 0;
        long t = 0;
        for (; t + 4 <= count; t += 4) avx512_int8_gemv_row(w, s, rounded, t, 4, b, out + t * stride + r, stride);
        for (; t < count; t++) avx512_int8_gemv_row(w, s, rounded, t, 1, b, out + t * stride + r, stride);
    }
}

AVX512 static void avx512_dequantize(const int8_t *weights, const uint16_t *scales, long blocks, float *out) {
    for (long b = 0; b < blocks; b++) {
        __m512 scale = _mm512_set1_ps(bfloat16_to_float(scales[b]));
        for (int j = 0; j < BLOCK; j += 16) {
            __m128i sixteen = _mm_loadu_si128((const __m128i *)(weights + b * BLOCK + j));
            __m512 wide = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(sixteen));
            _mm512_storeu_ps(out + b * BLOCK + j, _mm512_mul_ps(wide, scale));
        }
    }
}

DEFINE_FOR_LEVEL(avx512, AVX512 static)

static const Kernels AVX512_KERNELS = {
    .quantize = avx512_quantize,
    .swiglu = avx512_swiglu,
    .gemv = avx512_gemv,
    .gemm = avx512_gemm,
    .int8_gemv = avx512_int8_gemv,
    .dequantize = avx512_dequantize,
    .rms_norm = avx512_rms_norm,
    .dot = avx512_dot_product,
    .attend = avx512_attend,
    .layout = EVEN_ODD_QUADS,
    .quantizes_int8_input = 1,
    .round_token = avx2_round_token,
    .multiply_rows = avx2_multiply_rows,
    .row_group = 8,
};
