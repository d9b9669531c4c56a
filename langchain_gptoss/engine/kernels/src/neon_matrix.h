/* NEON with the dot product instructions: Apple silicon, and servers since Arm's Neoverse N1. See matrix.h. */
#ifndef GPTOSS_NEON_MATRIX_H
#define GPTOSS_NEON_MATRIX_H

#include "neon_int4.h"

#define NEON_ROWS 4 /* rows that are multiplied at once */

/* Even columns of a block of MXFP4 values, then its odd columns. */
NEON_INLINE int8x16x2_t neon_unpack(const uint8_t *from) {
    const int8x16_t table = vreinterpretq_s8_u8(vsubq_u8(vld1q_u8(VALUES), vdupq_n_u8(VALUE_OFFSET)));
    const uint8x16_t bytes = vld1q_u8(from);
    return (int8x16x2_t){{vqtbl1q_s8(table, vandq_u8(bytes, vdupq_n_u8(15))),
                          vqtbl1q_s8(table, vshrq_n_u8(bytes, 4))}};
}

/* One block of a row, columns in order. */
NEON_INLINE int8x16x2_t neon_load_columns(const uint8_t *from) {
    const int8x16x2_t parts = neon_unpack(from);
    return vzipq_s8(parts.val[0], parts.val[1]);
}

NEON_INLINE int32x4_t neon_dot_narrow(const int8x16x2_t *row, int8x16_t first, int8x16_t second) {
    return vdotq_s32(vdotq_s32(vdupq_n_s32(0), row->val[0], first), row->val[1], second);
}

NEON_INLINE int32x4_t neon_dot_wide(const int8x16x2_t *row, const int16_t *x) {
    int32x4_t dot = vdupq_n_s32(0);
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        const int16x8_t low = vmovl_s8(vget_low_s8(row->val[half])), high = vmovl_s8(vget_high_s8(row->val[half]));
        const int16x8_t first = vld1q_s16(x + 16 * half), second = vld1q_s16(x + 16 * half + 8);
        dot = vmlal_s16(dot, vget_low_s16(low), vget_low_s16(first));
        dot = vmlal_s16(dot, vget_high_s16(low), vget_high_s16(first));
        dot = vmlal_s16(dot, vget_low_s16(high), vget_low_s16(second));
        dot = vmlal_s16(dot, vget_high_s16(high), vget_high_s16(second));
    }
    return dot;
}

/* Products of one block of 4 rows with one token. */
NEON_INLINE int32x4_t neon_multiply_block(const int8x16x2_t *rows, const int bits, const Activations *x, long entry) {
    int32x4_t dots[NEON_ROWS];
    if (bits == 16) {
#pragma GCC unroll 4
        for (int r = 0; r < NEON_ROWS; r++) dots[r] = neon_dot_wide(rows + r, x->wide[entry].values);
    } else {
        const int8x16_t first = vld1q_s8(x->narrow[entry].values), second = vld1q_s8(x->narrow[entry].values + 16);
#pragma GCC unroll 4
        for (int r = 0; r < NEON_ROWS; r++) dots[r] = neon_dot_narrow(rows + r, first, second);
    }
    return vpaddq_s32(vpaddq_s32(dots[0], dots[1]), vpaddq_s32(dots[2], dots[3]));
}

NEON_INLINE void neon_multiply_tokens(const WeightMatrix *w, const int bits, long row, const Activations *x,
                                      const long *tokens, const int count, float *out, long stride) {
    const long blocks = w->k / BLOCK;
    float32x4_t sums[4];
#pragma GCC unroll 4
    for (int t = 0; t < count; t++) sums[t] = vdupq_n_f32(0);
    for (long b = 0; b < blocks; b++) {
        int8x16x2_t rows[NEON_ROWS];
        float scales[NEON_ROWS];
#pragma GCC unroll 4
        for (int r = 0; r < NEON_ROWS; r++) {
            const long block = (row + r) * blocks + b;
            const uint8_t *from = (const uint8_t *)w->weights + block * BLOCK_BYTES;
            rows[r] = bits == 8 ? neon_unpack(from) : neon_load_columns(from);
            scales[r] = get_mxfp4_scale(w, block);
        }
        const float32x4_t row_scales = vld1q_f32(scales);
#pragma GCC unroll 4
        for (int t = 0; t < count; t++) {
            const long entry = tokens[t] * blocks + b;
            const int32x4_t dot = neon_multiply_block(rows, bits, x, entry);
            const float scale = bits == 16 ? x->wide[entry].scale : x->narrow[entry].scale;
            sums[t] = vfmaq_f32(sums[t], vcvtq_f32_s32(dot), vmulq_n_f32(row_scales, scale));
        }
    }
#pragma GCC unroll 4
    for (int t = 0; t < count; t++) vst1q_f32(out + t * stride, sums[t]);
}

NEON_INLINE void neon_multiply_mxfp4(const WeightMatrix *w, const int bits, long first_row, long rows,
                                     const Activations *x, const int32_t *tokens, long count, float *out,
                                     long stride) {
    for (long r = 0; r < rows; r += NEON_ROWS)
        for (long i = 0; i < count;) {
            long chosen[4] = {0};
            for (int t = 0; t < 4 && i + t < count; t++) chosen[t] = tokens ? tokens[i + t] : i + t;
            float *to = out + i * stride + r;
            if (i + 4 <= count) {
                neon_multiply_tokens(w, bits, first_row + r, x, chosen, 4, to, stride);
                i += 4;
            } else {
                neon_multiply_tokens(w, bits, first_row + r, x, chosen, 1, to, stride);
                i++;
            }
        }
}

/* The order of the additions is that of portable_multiply_bfloat16. */
NEON_INLINE void neon_multiply_bfloat16(const uint16_t *w, long k, const float *x, float *out) {
    float32x4_t low[NEON_ROWS], high[NEON_ROWS];
    for (int r = 0; r < NEON_ROWS; r++) low[r] = high[r] = vdupq_n_f32(0);
    for (long j = 0; j < k; j += 8) {
        const float32x4_t first = vld1q_f32(x + j), second = vld1q_f32(x + j + 4);
#pragma GCC unroll 4
        for (int r = 0; r < NEON_ROWS; r++) {
            const uint16x8_t eight = vld1q_u16(w + r * k + j);
            low[r] = vfmaq_f32(low[r], vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(eight), 16)), first);
            high[r] = vfmaq_f32(high[r], vreinterpretq_f32_u32(vshll_n_u16(vget_high_u16(eight), 16)), second);
        }
    }
    for (int r = 0; r < NEON_ROWS; r++) {
        const float32x4_t four = vaddq_f32(low[r], high[r]);
        const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
        out[r] = vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
    }
}

NEON static void neon_multiply_rows(const WeightMatrix *w, long first_row, long rows, const Activations *x,
                                    const int32_t *tokens, long count, void *scratch, float *out, long stride) {
    (void)scratch;
    if (w->format == FORMAT_BF16) {
        for (long r = 0; r < rows; r += NEON_ROWS)
            for (long i = 0; i < count; i++)
                neon_multiply_bfloat16((const uint16_t *)w->weights + (first_row + r) * w->k, w->k,
                                       x->exact + (tokens ? tokens[i] : i) * w->k, out + i * stride + r);
    } else if (w->format == FORMAT_INT8)
        multiply_row_parts(w, first_row, rows, x, tokens, count, out, stride, NEON_PART_TOKENS,
                            neon_multiply_int8_part);
    else if (w->format == FORMAT_INT4)
        multiply_row_parts(w, first_row, rows, x, tokens, count, out, stride, NEON_PART_TOKENS,
                           w->bits == 16 ? neon_multiply_int4_part_16 : neon_multiply_int4_part_8);
    else if (w->bits == 8)
        neon_multiply_mxfp4(w, 8, first_row, rows, x, tokens, count, out, stride);
    else
        neon_multiply_mxfp4(w, 16, first_row, rows, x, tokens, count, out, stride);
}

#endif
