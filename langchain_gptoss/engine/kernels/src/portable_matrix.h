/* Rounding and products in plain C. They define the results: every other level has the same bits. */
#ifndef GPTOSS_PORTABLE_MATRIX_H
#define GPTOSS_PORTABLE_MATRIX_H

#include "generic.h"

#define MULTIPLY_SCRATCH 65536 /* bytes of scratch memory: a chunk of 16 unpacked rows, or sums of 64 rows */

INLINE int32_t round_to_whole(float value) {
    float shifted = value + 12582912.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, 4);
    return (int32_t)(bits - 0x4b400000u);
}

/* Rounds a block to whole numbers up to `limit`, and returns their scale. Infinity and NaN make the scale NaN. */
INLINE float round_block(const float *block, float limit, int32_t *values) {
    const float largest = find_largest_magnitude(block);
    const int finite = largest <= 3e38f, usable = finite && largest >= 1e-30f;
    const float factor = usable ? limit / largest : 0;
    for (int j = 0; j < BLOCK; j++) values[j] = usable ? round_to_whole(block[j] * factor) : 0;
    return usable ? largest / limit : finite ? 0 : bits_to_float(0x7fc00000u);
}

INLINE void round_numbers(Activations *to, long token, const float *x) {
    const long blocks = to->k / BLOCK;
    int32_t values[BLOCK];
    if (to->exact) memcpy(to->exact + token * to->k, x, (size_t)to->k * 4);
    for (long b = 0; b < blocks; b++) {
        if (to->narrow) {
            NarrowBlock *block = to->narrow + token * blocks + b;
            int32_t sum = 0;
            block->scale = round_block(x + b * BLOCK, 127, values);
            for (int j = 0; j < BLOCK / 2; j++) {
                block->values[j] = (int8_t)values[2 * j];
                block->values[j + 16] = (int8_t)values[2 * j + 1];
                sum += values[2 * j] + values[2 * j + 1];
            }
            block->sum = block->scale * (float)sum;
            block->value_correction = -VALUE_OFFSET * sum;
            block->unused = 0;
        }
        if (to->wide) {
            WideBlock *block = to->wide + token * blocks + b;
            int32_t sum = 0;
            block->scale = round_block(x + b * BLOCK, 127 * 256, values);
            for (int j = 0; j < BLOCK; j++) {
                block->values[j] = (int16_t)values[j];
                sum += values[j];
            }
            block->sum = block->scale * (float)sum;
        }
    }
}

static inline int32_t get_mxfp4_value(const WeightMatrix *w, long block, int column) {
    const uint8_t byte = ((const uint8_t *)w->weights)[block * BLOCK_BYTES + column / 2];
    return VALUES[column % 2 ? byte >> 4 : byte & 15] - VALUE_OFFSET;
}

/* Values are doubled, so scales are halved. */
static inline float get_mxfp4_scale(const WeightMatrix *w, long block) {
    return 0.5f * decode_scale(((const uint8_t *)w->scales)[block]);
}

static float portable_multiply_bfloat16(const uint16_t *w, const float *x, long k) {
    float parts[8] = {0};
    for (long j = 0; j < k; j++) parts[j % 8] = fmaf(bfloat16_to_float(w[j]), x[j], parts[j % 8]);
    return ((parts[0] + parts[4]) + (parts[2] + parts[6])) + ((parts[1] + parts[5]) + (parts[3] + parts[7]));
}

static float portable_multiply_mxfp4(const WeightMatrix *w, long row, const Activations *x, long token) {
    const long blocks = w->k / BLOCK;
    float sum = 0;
    for (long b = 0; b < blocks; b++) {
        const long entry = token * blocks + b, block = row * blocks + b;
        int32_t dot = 0;
        for (int j = 0; j < BLOCK; j++)
            dot += get_mxfp4_value(w, block, j) *
                   (w->bits == 16 ? x->wide[entry].values[j] : x->narrow[entry].values[j % 2 * 16 + j / 2]);
        const float scale = w->bits == 16 ? x->wide[entry].scale : x->narrow[entry].scale;
        sum = fmaf((float)dot, get_mxfp4_scale(w, block) * scale, sum);
    }
    return sum;
}

/* Products of GROUP_ROWS rows with one token. */
static void portable_multiply_int8(const WeightMatrix *w, long row, const WideBlock *x, float *sums) {
    const long blocks = w->k / BLOCK;
    for (int r = 0; r < GROUP_ROWS; r++) sums[r] = 0;
    for (long b = 0; b < blocks; b++) {
        const int8_t *weights = (const int8_t *)find_group_weights(w, row, b);
        const uint16_t *scales = find_group_scales(w, row, b);
        int32_t dots[GROUP_ROWS] = {0};
        for (int j = 0; j < BLOCK; j += 2, weights += 2 * GROUP_ROWS)
            for (int r = 0; r < GROUP_ROWS; r++)
                dots[r] += weights[2 * r] * x[b].values[j] + weights[2 * r + 1] * x[b].values[j + 1];
        for (int r = 0; r < GROUP_ROWS; r++)
            sums[r] = fmaf((float)dots[r], bfloat16_to_float(scales[r]) * x[b].scale, sums[r]);
    }
}

/* Products of four bytes of an int4 row: `part` counts from 0 to 3. */
static inline int32_t multiply_int4_bytes(const WeightMatrix *w, const uint8_t *bytes, int part, const Activations *x,
                                          long entry) {
    int32_t dot = 0;
    for (int i = 0; i < 4; i++) {
        const int32_t low = bytes[i] & 15, high = bytes[i] >> 4, at = 4 * part + i;
        if (w->bits == 16)
            dot += low * x->wide[entry].values[2 * at] + high * x->wide[entry].values[2 * at + 1];
        else
            dot += low * x->narrow[entry].values[at] + high * x->narrow[entry].values[at + 16];
    }
    return dot;
}

/* Products of GROUP_ROWS rows with one token. */
static void portable_multiply_int4(const WeightMatrix *w, long row, const Activations *x, long token, float *sums) {
    const long blocks = w->k / BLOCK;
    for (int r = 0; r < GROUP_ROWS; r++) sums[r] = 0;
    for (long b = 0; b < blocks; b++) {
        const uint8_t *weights = find_group_weights(w, row, b);
        const uint16_t *scales = find_group_scales(w, row, b);
        const long entry = token * blocks + b;
        const float scale = w->bits == 16 ? x->wide[entry].scale : x->narrow[entry].scale;
        const float sum = w->bits == 16 ? x->wide[entry].sum : x->narrow[entry].sum;
        for (int r = 0; r < GROUP_ROWS; r++) {
            int32_t dot = 0;
            for (int j = 0; j < 4; j++)
                dot += multiply_int4_bytes(w, weights + (j * GROUP_ROWS + r) * 4, j, x, entry);
            sums[r] = fmaf((float)dot, half_to_float(scales[r]) * scale, sums[r]);
            sums[r] = fmaf(half_to_float(scales[GROUP_ROWS + r]), sum, sums[r]);
        }
    }
}

static void portable_multiply_rows(const WeightMatrix *w, long first_row, long row_count, const Activations *x,
                                   const int32_t *tokens, long count, void *scratch, float *out, long stride) {
    (void)scratch;
    const long step = is_grouped(w) ? GROUP_ROWS : 1;
    for (long r = 0; r < row_count; r += step)
        for (long i = 0; i < count; i++) {
            const long token = tokens ? tokens[i] : i, row = first_row + r;
            float *to = out + i * stride + r;
            if (is_grouped(w)) {
                float sums[GROUP_ROWS];
                if (w->format == FORMAT_INT8)
                    portable_multiply_int8(w, row, x->wide + token * (w->k / BLOCK), sums);
                else
                    portable_multiply_int4(w, row, x, token, sums);
                memcpy(to, sums, (size_t)(row_count - r < GROUP_ROWS ? row_count - r : GROUP_ROWS) * 4);
            } else if (w->format == FORMAT_BF16)
                *to = portable_multiply_bfloat16((const uint16_t *)w->weights + row * w->k, x->exact + token * w->k,
                                                 w->k);
            else
                *to = portable_multiply_mxfp4(w, row, x, token);
        }
}

static void portable_round_token(Activations *to, long token, const float *x) { round_numbers(to, token, x); }

#endif
