/* Products of weight matrices with rounded activations. The result for a token has the same bits at every level, for
 * any number of tokens: it is a sum over blocks of 32 columns, in order, of exact integer products times the scales. */
#ifndef GPTOSS_MATRIX_H
#define GPTOSS_MATRIX_H

#include "common.h"
#include "generic.h"
#include "portable.h"
#ifdef X86
#include "avx2.h"
#endif

typedef enum { FORMAT_MXFP4 = 0, FORMAT_INT8 = 1, FORMAT_BF16 = 2 } WeightFormat;
enum { NEED_8 = 1, NEED_16 = 2, NEED_FLOAT = 4 };
#define ROW_GROUP 8 /* rows that vector levels multiply at once */

typedef struct {         /* one matrix [rows][k] */
    const void *weights; /* MXFP4: uint8 [rows][k/32][16]; INT8: int8 [rows][k]; BF16: uint16 [rows][k] */
    const void *scales;  /* MXFP4: uint8 [rows][k/32]; INT8: bfloat16 [rows][k/32]; BF16: NULL */
    int64_t rows, k;
    int32_t format, bits; /* bits of activations: 8 or 16; ignored for BF16, which reads float32 */
} WeightMatrix;

/* Forms that were not asked for are NULL. */
typedef struct {
    long tokens, k;
    int8_t *narrow;        /* [tokens][k]: even columns of each block, then its odd columns */
    int16_t *wide;         /* [tokens][k]: columns in order */
    float *exact;          /* [tokens][k] */
    float *narrow_scales;  /* [tokens][k/32] */
    float *wide_scales;    /* [tokens][k/32] */
    int32_t *corrections;  /* [tokens][k/32]: -VALUE_OFFSET times the sum of `narrow` */
} Activations;

static void free_activations(Activations *x) {
    void *all[] = {x->narrow, x->wide, x->exact, x->narrow_scales, x->wide_scales, x->corrections};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    memset(x, 0, sizeof *x);
}

static void *allocate_aligned(long bytes) { return aligned_alloc(64, (size_t)round_up(bytes + 1, 64)); }

/* Returns 1, or 0 if memory runs out. */
static int allocate_activations(Activations *x, long tokens, long k, int needs) {
    const long count = tokens * k, blocks = count / BLOCK;
    *x = (Activations){.tokens = tokens, .k = k};
    int ready = 1;
    if (needs & NEED_8) {
        x->narrow = allocate_aligned(count);
        x->narrow_scales = allocate_aligned(blocks * 4);
        x->corrections = allocate_aligned(blocks * 4);
        ready = x->narrow && x->narrow_scales && x->corrections;
    }
    if (needs & NEED_16) {
        x->wide = allocate_aligned(count * 2);
        x->wide_scales = allocate_aligned(blocks * 4);
        ready = ready && x->wide && x->wide_scales;
    }
    if (needs & NEED_FLOAT) ready = (x->exact = allocate_aligned(count * 4)) && ready;
    if (!ready) free_activations(x);
    return ready;
}

static inline int32_t round_to_whole(float value) {
    float shifted = value + 12582912.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, 4);
    return (int32_t)(bits - 0x4b400000u);
}

/* Rounds a block to whole numbers up to `limit`, and returns their scale. Infinity and NaN make the scale NaN. */
static inline float round_block(const float *block, float limit, int32_t *values) {
    const float largest = find_largest_magnitude(block);
    const int finite = largest <= 3e38f, usable = finite && largest >= 1e-30f;
    const float factor = usable ? limit / largest : 0;
    for (int j = 0; j < BLOCK; j++) values[j] = usable ? round_to_whole(block[j] * factor) : 0;
    return usable ? largest / limit : finite ? 0 : bits_to_float(0x7fc00000u);
}

static void round_token(const Kernels *kernels, Activations *to, long token, const float *x) {
    (void)kernels;
    const long blocks = to->k / BLOCK;
    int32_t values[BLOCK];
    if (to->exact) memcpy(to->exact + token * to->k, x, (size_t)to->k * 4);
    for (long b = 0; b < blocks; b++) {
        const long entry = token * blocks + b;
        if (to->narrow) {
            int32_t sum = 0;
            to->narrow_scales[entry] = round_block(x + b * BLOCK, 127, values);
            for (int j = 0; j < BLOCK; j++) {
                to->narrow[entry * BLOCK + j % 2 * 16 + j / 2] = (int8_t)values[j];
                sum += values[j];
            }
            to->corrections[entry] = -VALUE_OFFSET * sum;
        }
        if (to->wide) {
            to->wide_scales[entry] = round_block(x + b * BLOCK, 127 * 256, values);
            for (int j = 0; j < BLOCK; j++) to->wide[entry * BLOCK + j] = (int16_t)values[j];
        }
    }
}

static inline int32_t get_weight(const WeightMatrix *w, long block, int column) {
    if (w->format == FORMAT_INT8) return ((const int8_t *)w->weights)[block * BLOCK + column];
    const uint8_t byte = ((const uint8_t *)w->weights)[block * BLOCK_BYTES + column / 2];
    return VALUES[column % 2 ? byte >> 4 : byte & 15] - VALUE_OFFSET;
}

/* MXFP4 values are doubled, so its scales are halved. */
static inline float get_weight_scale(const WeightMatrix *w, long block) {
    return w->format == FORMAT_INT8 ? bfloat16_to_float(((const uint16_t *)w->scales)[block])
                                    : 0.5f * decode_scale(((const uint8_t *)w->scales)[block]);
}

static float portable_multiply_bfloat16(const uint16_t *w, const float *x, long k) {
    float parts[8] = {0};
    for (long j = 0; j < k; j++) parts[j % 8] = fmaf(bfloat16_to_float(w[j]), x[j], parts[j % 8]);
    return ((parts[0] + parts[4]) + (parts[2] + parts[6])) + ((parts[1] + parts[5]) + (parts[3] + parts[7]));
}

static float portable_multiply_row(const WeightMatrix *w, long row, const Activations *x, long token) {
    const long blocks = w->k / BLOCK;
    if (w->format == FORMAT_BF16)
        return portable_multiply_bfloat16((const uint16_t *)w->weights + row * w->k, x->exact + token * w->k, w->k);
    float sum = 0;
    for (long b = 0; b < blocks; b++) {
        const long entry = token * blocks + b, block = row * blocks + b;
        int32_t dot = 0;
        for (int j = 0; j < BLOCK; j++)
            dot += get_weight(w, block, j) * (w->bits == 16 ? x->wide[entry * BLOCK + j]
                                                            : x->narrow[entry * BLOCK + j % 2 * 16 + j / 2]);
        const float scale = w->bits == 16 ? x->wide_scales[entry] : x->narrow_scales[entry];
        sum = fmaf((float)dot, get_weight_scale(w, block) * scale, sum);
    }
    return sum;
}

static void portable_multiply_rows(const WeightMatrix *w, long first_row, long row_count, const Activations *x,
                                   const int32_t *tokens, long count, float *out, long stride) {
    for (long r = 0; r < row_count; r++)
        for (long i = 0; i < count; i++)
            out[i * stride + r] = portable_multiply_row(w, first_row + r, x, tokens ? tokens[i] : i);
}

#ifdef X86
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
AVX2_INLINE void avx2_multiply_group(const uint8_t *tile, const float *scales, long blocks, const Activations *x,
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
    for (; i + 4 <= count; i += 4) avx2_multiply_group(tile, scales, blocks, x, tokens, i, 4, out, stride);
    for (; i < count; i++) avx2_multiply_group(tile, scales, blocks, x, tokens, i, 1, out, stride);
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
#endif

/* Bytes of scratch memory for multiply_rows: 8 unpacked rows and their scales. */
static size_t multiply_scratch_size(const WeightMatrix *w, long row_count, long count) {
    (void)row_count, (void)count;
    return (size_t)round_up(w->k / BLOCK * ROW_GROUP * (BLOCK + 4) + 64, 64);
}

/* out[i * stride + r] = row first_row + r times token tokens[i], or token i if `tokens` is NULL. */
static void multiply_rows(const Kernels *kernels, const WeightMatrix *w, long first_row, long row_count,
                          const Activations *x, const int32_t *tokens, long count, void *scratch, float *out,
                          long stride) {
    long r = 0;
    (void)kernels, (void)scratch;
#ifdef X86
    if (kernels == &AVX2_KERNELS)
        for (; r + ROW_GROUP <= row_count; r += ROW_GROUP) {
            if (w->format == FORMAT_MXFP4 && w->bits == 8)
                avx2_multiply_mxfp4(w, first_row + r, x, tokens, count, scratch, out + r, stride);
            else if (w->format == FORMAT_INT8 && w->bits == 16)
                avx2_multiply_int8(w, first_row + r, x, tokens, count, out + r, stride);
            else
                break;
        }
#endif
    portable_multiply_rows(w, first_row + r, row_count - r, x, tokens, count, out + r, stride);
}

#endif
