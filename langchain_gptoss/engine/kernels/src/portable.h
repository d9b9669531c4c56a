/* Plain C for all other processors. Compilers turn the inner loops into SIMD. */
#include "portable_matrix.h"

static void portable_unpack_row(PackedRows row, long blocks, int8_t *values, float *scales) {
    for (long b = 0; b < blocks; b++) {
        for (int j = 0; j < BLOCK_BYTES; j++) {
            uint8_t byte = row.blocks[b * BLOCK_BYTES + j];
            values[b * BLOCK + j] = (int8_t)(VALUES[byte & 15] - VALUE_OFFSET);
            values[b * BLOCK + BLOCK_BYTES + j] = (int8_t)(VALUES[byte >> 4] - VALUE_OFFSET);
        }
        scales[b] = decode_scale(row.scales[b]);
    }
}

static int32_t portable_dot(const int8_t *w, const int8_t *high, const int8_t *low) {
    int32_t dot = 0;
    for (int j = 0; j < BLOCK; j++) dot += w[j] * (high[j] * 256 + low[j]);
    return dot;
}

static void portable_gemv(PackedRows weights, long rows, const RowActivations *x, const int32_t *tokens, int count,
                          void *scratch, float *out, long stride) {
    int8_t *values = scratch;
    float *scales = (float *)(values + round_up(x->blocks * BLOCK, 64));
    for (long r = 0; r < rows; r++) {
        PackedRows row = {weights.blocks + r * x->blocks * BLOCK_BYTES, weights.scales + r * x->blocks};
        portable_unpack_row(row, x->blocks, values, scales);
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
}

static void portable_gemm(PackedRows weights, const PanelActivations *x, long panel, long count, int wide,
                          void *scratch, float *out, long stride) {
    (void)wide; /* both cases use 15 bits here */
    int8_t *values = scratch;
    float *scales = (float *)(values + round_up(x->blocks * BLOCK, 64));
    for (long r = 0; r < TILE_ROWS; r++) {
        PackedRows row = {weights.blocks + r * x->blocks * BLOCK_BYTES, weights.scales + r * x->blocks};
        portable_unpack_row(row, x->blocks, values, scales);
        for (long t = 0; t < count; t++) {
            float sum = 0;
            for (long b = 0; b < x->blocks; b++) {
                const long at = ((panel + t / PANEL_TOKENS) * x->blocks + b) * PANEL_TOKENS + t % PANEL_TOKENS;
                const int32_t dot = portable_dot(values + b * BLOCK, x->high + at * BLOCK, x->low + at * BLOCK);
                sum += scales[b] * (x->scales[at] / 256) * (float)dot;
            }
            out[t * stride + r] = sum;
        }
    }
}

static void portable_int8_gemv(const int8_t *weights, const uint16_t *scales, long rows, long k, const float *x,
                           const RowActivations *rounded, long count, const float *bias, float *out, long stride) {
    (void)rounded;
    for (long r = 0; r < rows; r++)
        for (long t = 0; t < count; t++) {
            float sum = bias ? bias[r] : 0;
            for (long b = 0; b < k / BLOCK; b++) {
                float dot = 0;
                for (int j = 0; j < BLOCK; j++) dot += (float)weights[r * k + b * BLOCK + j] * x[t * k + b * BLOCK + j];
                sum += bfloat16_to_float(scales[r * (k / BLOCK) + b]) * dot;
            }
            out[t * stride + r] = sum;
        }
}

static void portable_dequantize(const int8_t *weights, const uint16_t *scales, long blocks, float *out) {
    for (long j = 0; j < blocks * BLOCK; j++) out[j] = (float)weights[j] * bfloat16_to_float(scales[j / BLOCK]);
}

DEFINE_FOR_LEVEL(portable, static)

static const Kernels PORTABLE_KERNELS = {
    .quantize = portable_quantize,
    .swiglu = portable_swiglu,
    .gemv = portable_gemv,
    .gemm = portable_gemm,
    .int8_gemv = portable_int8_gemv,
    .dequantize = portable_dequantize,
    .rms_norm = portable_rms_norm,
    .dot = portable_dot_product,
    .attend = portable_attend,
    .layout = EVEN_ODD_BLOCKS,
    .quantizes_int8_input = 0,
    .round_token = portable_round_token,
    .multiply_rows = portable_multiply_rows,
    .row_group = 1,
};
