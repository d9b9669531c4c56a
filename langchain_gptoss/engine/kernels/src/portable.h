/* The kernels in plain C, for processors that the others do not know. Compilers turn the inner loops into SIMD. */
#include "common.h"
#include "rounding.h"

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

static int32_t portable_dot(const int8_t *w, const int8_t *high, const int8_t *low) {
    int32_t dot = 0;
    for (int j = 0; j < BLOCK; j++) dot += w[j] * (high[j] * 256 + low[j]);
    return dot;
}

static size_t portable_room(long blocks) { return (size_t)(rounded_up(blocks * BLOCK, 64) + blocks * 4); }

static void portable_few(Packed weights, long rows, const Activations *x, const int32_t *tokens, int count, float *out,
                         long stride) {
    int8_t *values = malloc(portable_room(x->blocks));
    if (!values) abort();
    float *scales = (float *)(values + rounded_up(x->blocks * BLOCK, 64));
    for (long r = 0; r < rows; r++) {
        Packed row = {weights.blocks + r * x->blocks * BLOCK_BYTES, weights.scales + r * x->blocks};
        portable_unpack(row, x->blocks, values, scales);
        for (int t = 0; t < count; t++) {
            const int8_t *high = x->high + tokens[t] * x->value_stride, *low = x->low + tokens[t] * x->value_stride;
            const float *x_scales = x->scales + tokens[t] * x->block_stride;
            float sum = 0;
            for (long b = 0; b < x->blocks; b++) {
                const long at = b * BLOCK;
                sum += scales[b] * (x_scales[b] / 256) * (float)portable_dot(values + at, high + at, low + at);
            }
            out[t * stride + r] = sum;
        }
    }
    free(values);
}

static void portable_many(Packed weights, const Panels *x, long group, long count, int wide, void *room, float *out,
                          long stride) {
    (void)wide; /* the multiplications are the same */
    int8_t *values = room;
    float *scales = (float *)(values + rounded_up(x->blocks * BLOCK, 64));
    for (long r = 0; r < TILE_ROWS; r++) {
        Packed row = {weights.blocks + r * x->blocks * BLOCK_BYTES, weights.scales + r * x->blocks};
        portable_unpack(row, x->blocks, values, scales);
        for (long t = 0; t < count; t++) {
            float sum = 0;
            for (long b = 0; b < x->blocks; b++) {
                const long at = ((group + t / GROUP) * x->blocks + b) * GROUP + t % GROUP;
                const int32_t dot = portable_dot(values + b * BLOCK, x->high + at * BLOCK, x->low + at * BLOCK);
                sum += scales[b] * (x->scales[at] / 256) * (float)dot;
            }
            out[t * stride + r] = sum;
        }
    }
}

static void portable_dense(const int8_t *weights, const uint16_t *scales, long rows, long k, const float *x,
                           const Activations *rounded, long count, const float *bias, float *out, long stride) {
    (void)rounded;
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

COMPILED_FOR(portable, static)

static const Kernels PORTABLE = {portable_round, portable_gate, portable_few, portable_many, portable_dense, portable_widen, portable_norm, portable_product, portable_attend, BLOCKS, 0};
