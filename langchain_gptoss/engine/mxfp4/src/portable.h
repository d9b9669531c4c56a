/* The kernels in plain C, for processors that the others do not know. Compilers turn the inner loops into SIMD. */
#include "common.h"

static void portable_unpack(Packed row, long blocks, int8_t *values, float *scales) {
    for (long b = 0; b < blocks; b++) {
        for (int j = 0; j < BLOCK_BYTES; j++) {
            uint8_t byte = row.blocks[b * BLOCK_BYTES + j];
            values[b * BLOCK + j] = (int8_t)(VALUES[byte & 15] - OFFSET);
            values[b * BLOCK + BLOCK_BYTES + j] = (int8_t)(VALUES[byte >> 4] - OFFSET);
        }
        scales[b] = scale_of(row.scales[b]);
    }
}

static float portable_dot(const int8_t *w, const float *w_scales, const Activations *x, int32_t token) {
    const int8_t *high = x->high + token * x->value_stride, *low = x->low + token * x->value_stride;
    float sum = 0;
    for (long b = 0; b < x->blocks; b++) {
        int32_t dot = 0;
        for (long j = b * BLOCK; j < (b + 1) * BLOCK; j++) dot += w[j] * (high[j] * 256 + low[j]);
        sum += w_scales[b] * (x->scales[token * x->block_stride + b] / 256) * (float)dot;
    }
    return sum;
}

static void portable_rows(Packed weights, long rows, const Activations *x, const int32_t *tokens, long count,
                          float *out, long stride, void *room) {
    int8_t *values = room;
    float *scales = (float *)(values + rounded_up(x->blocks * BLOCK, 64));
    for (long r = 0; r < rows; r++) {
        Packed row = {weights.blocks + r * x->blocks * BLOCK_BYTES, weights.scales + r * x->blocks};
        portable_unpack(row, x->blocks, values, scales);
        for (long t = 0; t < count; t++) out[t * stride + r] = portable_dot(values, scales, x, tokens[t]);
    }
}

static void portable_few(Packed weights, long rows, const Activations *x, const int32_t *tokens, int count, float *out,
                         long stride) {
    void *room = malloc((size_t)rounded_up(x->blocks * BLOCK, 64) + (size_t)x->blocks * 4);
    if (!room) abort();
    portable_rows(weights, rows, x, tokens, count, out, stride, room);
    free(room);
}

static void portable_many(Packed weights, const Activations *x, const int32_t *tokens, long count, int wide,
                          void *room, float *out, long stride) {
    (void)wide; /* the multiplications are the same */
    portable_rows(weights, TILE_ROWS, x, tokens, count, out, stride, room);
}

static void portable_dense(const int8_t *weights, const uint16_t *scales, long rows, long k, const float *x, long count,
                           const float *bias, float *out, long stride) {
    for (long r = 0; r < rows; r++)
        for (long t = 0; t < count; t++) {
            float sum = bias ? bias[r] : 0;
            for (long b = 0; b < k / BLOCK; b++) {
                float dot = 0;
                for (int j = 0; j < BLOCK; j++) dot += (float)weights[r * k + b * BLOCK + j] * x[t * k + b * BLOCK + j];
                sum += widened(scales[r * (k / BLOCK) + b]) * dot;
            }
            out[t * stride + r] = sum;
        }
}

static void portable_widen(const int8_t *weights, const uint16_t *scales, long blocks, float *out) {
    for (long j = 0; j < blocks * BLOCK; j++) out[j] = (float)weights[j] * widened(scales[j / BLOCK]);
}

static const Kernels PORTABLE = {portable_few, portable_many, portable_dense, portable_widen, 0};
