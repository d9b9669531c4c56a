/* AVX2 with FMA: nearly every x86-64 processor since 2013 (Intel) and 2015 (AMD). */
#include "avx2_matrix.h"

AVX2_INLINE float avx2_sum(__m256 v) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

AVX2_INLINE void avx2_gemv_row(PackedRows row, const RowActivations *x, const int32_t *tokens, const int count,
                               float *out, long stride) {
    const __m256i table = avx2_load_values(), nibble = _mm256_set1_epi8(15);
    const __m256i ones = _mm256_set1_epi16(1), units = _mm256_set1_epi16(256);
    const __m256 unit = _mm256_set1_ps(1 / 256.0f);
    const __m256i shift = _mm256_set_epi32(4, 4, 4, 4, 0, 0, 0, 0);
    __m256 sums[GEMV_MAX_TOKENS], corrections[GEMV_MAX_TOKENS];
    for (int t = 0; t < count; t++) sums[t] = corrections[t] = _mm256_setzero_ps();
    for (long first = 0; first < x->blocks; first += 8) {
        long remaining = x->blocks - first < 8 ? x->blocks - first : 8;
        __m256 scale = avx2_decode_scales(row.scales + first, remaining);
        float scale_products[GEMV_MAX_TOKENS][8];
        for (int t = 0; t < count; t++) {
            const long start = tokens[t] * x->block_stride + first;
            __m256 product = _mm256_mul_ps(scale, _mm256_mul_ps(_mm256_loadu_ps(x->scales + start), unit));
            __m256 correction = _mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i *)(x->wide_correction + start)));
            corrections[t] = _mm256_fmadd_ps(product, correction, corrections[t]);
            _mm256_storeu_ps(scale_products[t], product);
        }
        for (long b = 0; b < remaining; b++) {
            const __m128i *source = (const __m128i *)(row.blocks + (first + b) * BLOCK_BYTES);
            _mm_prefetch((const char *)source + PREFETCH_BYTES, _MM_HINT_T0);
            __m256i w = _mm256_srlv_epi32(_mm256_broadcastsi128_si256(_mm_loadu_si128(source)), shift);
            w = _mm256_shuffle_epi8(table, _mm256_and_si256(w, nibble));
            for (int t = 0; t < count; t++) {
                const long at = tokens[t] * x->value_stride + (first + b) * BLOCK;
                __m256i high = _mm256_maddubs_epi16(w, _mm256_loadu_si256((const __m256i *)(x->high + at)));
                __m256i low = _mm256_maddubs_epi16(w, _mm256_loadu_si256((const __m256i *)(x->low + at)));
                __m256i dot = _mm256_add_epi32(_mm256_madd_epi16(high, units), _mm256_madd_epi16(low, ones));
                sums[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_broadcast_ss(&scale_products[t][b]), sums[t]);
            }
        }
    }
    for (int t = 0; t < count; t++) out[t * stride] = avx2_sum(_mm256_add_ps(sums[t], corrections[t]));
}

AVX2 static void avx2_gemv(PackedRows weights, long rows, const RowActivations *x, const int32_t *tokens, int count,
                      void *scratch, float *out, long stride) {
    (void)scratch; /* rows are unpacked in registers */
    for (long r = 0; r < rows; r++) {
        PackedRows row = {weights.blocks + r * x->blocks * BLOCK_BYTES, weights.scales + r * x->blocks};
        switch (count) {
        case 1: avx2_gemv_row(row, x, tokens, 1, out + r, stride); break;
        case 2: avx2_gemv_row(row, x, tokens, 2, out + r, stride); break;
        case 3: avx2_gemv_row(row, x, tokens, 3, out + r, stride); break;
        default: avx2_gemv_row(row, x, tokens, 4, out + r, stride);
        }
    }
}

/* Unpacks 8 rows. Each vector holds the same four columns of all rows: [block][8][8 rows][4 columns]. */
AVX2 static void avx2_unpack_rows(PackedRows weights, long blocks, uint8_t *tile, float *scales) {
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

/* Multiplies one block of 8 rows with `count` adjacent tokens and adds `unit` times the products to `dots`. */
AVX2_INLINE void avx2_multiply_half(const uint8_t *tile, const int8_t *values, const int count, __m256i unit,
                                     __m256i *dots) {
    for (int half = 0; half < 2; half++) { /* a sum of four products, each at most 24 * 128 * 2, is below 2^15 */
        __m256i pairs[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            __m256i w = _mm256_loadu_si256((const __m256i *)(tile + (half * 4 + j) * 32));
#pragma GCC unroll 4
            for (int t = 0; t < count; t++) {
                int32_t four;
                memcpy(&four, values + t * BLOCK + half * 16 + 4 * j, 4);
                __m256i product = _mm256_maddubs_epi16(w, _mm256_set1_epi32(four));
                pairs[t] = j ? _mm256_add_epi16(pairs[t], product) : product;
            }
        }
        for (int t = 0; t < count; t++) dots[t] = _mm256_add_epi32(dots[t], _mm256_madd_epi16(pairs[t], unit));
    }
}

AVX2_INLINE void avx2_multiply_group(const uint8_t *tile, const float *w_scales, const PanelActivations *x, long panel,
                                      const long first, const int count, const int wide, float *out, long stride) {
    const __m256i ones = _mm256_set1_epi16(1), units = _mm256_set1_epi16(256);
    const __m256 unit = _mm256_set1_ps(wide ? 1 / 256.0f : 1);
    const long begin = panel * x->blocks * PANEL_TOKENS + first;
    const int8_t *high = x->high + begin * BLOCK, *low = x->low + begin * BLOCK;
    const float *x_scales = x->scales + begin;
    const int32_t *correction = (wide ? x->wide_correction : x->correction) + begin;
    __m256 sums[4];
    for (int t = 0; t < count; t++) sums[t] = _mm256_setzero_ps();
    for (long b = 0; b < x->blocks; b++) {
        __m256i dots[4];
        for (int t = 0; t < count; t++) dots[t] = _mm256_set1_epi32(correction[b * PANEL_TOKENS + t]);
        avx2_multiply_half(tile + b * 256, high + b * PANEL_TOKENS * BLOCK, count, wide ? units : ones, dots);
        if (wide) avx2_multiply_half(tile + b * 256, low + b * PANEL_TOKENS * BLOCK, count, ones, dots);
        __m256 scale = _mm256_mul_ps(_mm256_loadu_ps(w_scales + b * 8), unit);
        for (int t = 0; t < count; t++) {
            __m256 scale_products = _mm256_mul_ps(scale, _mm256_set1_ps(x_scales[b * PANEL_TOKENS + t]));
            sums[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[t]), scale_products, sums[t]);
        }
    }
    for (int t = 0; t < count; t++) _mm256_storeu_ps(out + t * stride, sums[t]);
}

AVX2_INLINE void avx2_multiply_panels(const uint8_t *tile, const float *w_scales, const PanelActivations *x, long panel,
                                      long count, const int wide, const char *next, float *out, long stride) {
    const long fours = (count + 3) / 4, lines = x->blocks * BLOCK_BYTES * 8 / 64;
    for (long g = 0; g < fours; g++) {
        /* Fetch the weights of the next tile while this one is multiplied. */
        for (long line = lines * g / fours; line < lines * (g + 1) / fours; line++)
            _mm_prefetch(next + line * 64, _MM_HINT_T1);
        const long at = panel + g / 2, first = g % 2 * 4;
        if (count - 4 * g >= 4)
            avx2_multiply_group(tile, w_scales, x, at, first, 4, wide, out + 4 * g * stride, stride);
        else
            for (long t = 4 * g; t < count; t++)
                avx2_multiply_group(tile, w_scales, x, at, first + t - 4 * g, 1, wide, out + t * stride, stride);
    }
}

AVX2 static void avx2_gemm(PackedRows weights, const PanelActivations *x, long panel, long count, int wide,
                           void *scratch, float *out, long stride) {
    uint8_t *tile = scratch;
    float *scales = (float *)(tile + x->blocks * BLOCK * 8);
    for (int half = 0; half < 2; half++) {
        PackedRows rows = {weights.blocks + half * 8 * x->blocks * BLOCK_BYTES, weights.scales + half * 8 * x->blocks};
        const char *next = (const char *)rows.blocks + 8 * x->blocks * BLOCK_BYTES;
        avx2_unpack_rows(rows, x->blocks, tile, scales);
        if (wide)
            avx2_multiply_panels(tile, scales, x, panel, count, 1, next, out + half * 8, stride);
        else
            avx2_multiply_panels(tile, scales, x, panel, count, 0, next, out + half * 8, stride);
    }
}

AVX2_INLINE void avx2_int8_gemv_row(const int8_t *w, const uint16_t *scales, long k, const float *x, const int count,
                                float bias, float *out, long stride) {
    __m256 sums[4];
    for (int t = 0; t < count; t++) sums[t] = _mm256_setzero_ps();
    for (long b = 0; b < k / BLOCK; b++) {
        __m256 dots[4];
        for (int j = 0; j < 4; j++) {
            __m128i eight = _mm_loadl_epi64((const __m128i *)(w + b * BLOCK + 8 * j));
            __m256 wide = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight));
            for (int t = 0; t < count; t++) {
                __m256 start = _mm256_loadu_ps(x + t * k + b * BLOCK + 8 * j);
                dots[t] = j ? _mm256_fmadd_ps(wide, start, dots[t]) : _mm256_mul_ps(wide, start);
            }
        }
        __m256 scale = _mm256_set1_ps(bfloat16_to_float(scales[b]));
        for (int t = 0; t < count; t++) sums[t] = _mm256_fmadd_ps(dots[t], scale, sums[t]);
    }
    for (int t = 0; t < count; t++) out[t * stride] = avx2_sum(sums[t]) + bias;
}

AVX2 static void avx2_int8_gemv(const int8_t *weights, const uint16_t *scales, long rows, long k, const float *x,
                       const RowActivations *rounded, long count, const float *bias, float *out, long stride) {
    (void)rounded;
    for (long r = 0; r < rows; r++) {
        const int8_t *w = weights + r * k;
        const uint16_t *s = scales + r * (k / BLOCK);
        const float b = bias ? bias[r] : 0;
        long t = 0;
        for (; t + 4 <= count; t += 4) avx2_int8_gemv_row(w, s, k, x + t * k, 4, b, out + t * stride + r, stride);
        for (; t < count; t++) avx2_int8_gemv_row(w, s, k, x + t * k, 1, b, out + t * stride + r, stride);
    }
}

AVX2 static void avx2_dequantize(const int8_t *weights, const uint16_t *scales, long blocks, float *out) {
    for (long b = 0; b < blocks; b++) {
        __m256 scale = _mm256_set1_ps(bfloat16_to_float(scales[b]));
        for (int j = 0; j < BLOCK; j += 8) {
            __m128i eight = _mm_loadl_epi64((const __m128i *)(weights + b * BLOCK + j));
            __m256 wide = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight));
            _mm256_storeu_ps(out + b * BLOCK + j, _mm256_mul_ps(wide, scale));
        }
    }
}

DEFINE_FOR_LEVEL(avx2, AVX2 static)

static const Kernels AVX2_KERNELS = {
    .quantize = avx2_quantize,
    .swiglu = avx2_swiglu,
    .gemv = avx2_gemv,
    .gemm = avx2_gemm,
    .int8_gemv = avx2_int8_gemv,
    .dequantize = avx2_dequantize,
    .rms_norm = avx2_rms_norm,
    .dot = avx2_dot_product,
    .attend = avx2_attend,
    .layout = EVEN_ODD_BLOCKS,
    .quantizes_int8_input = 0,
    .round_token = avx2_round_token,
    .multiply_rows = avx2_multiply_rows,
    .row_group = 8,
};
