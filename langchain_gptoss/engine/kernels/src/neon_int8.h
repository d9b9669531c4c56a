/* NEON: products of int8 weights, which are stored in GROUP_ROWS rows; see WeightMatrix. */
#ifndef GPTOSS_NEON_INT8_H
#define GPTOSS_NEON_INT8_H

#include <arm_neon.h>

#include "row_parts.h"
#include "portable_matrix.h"

#ifdef __ARM_FEATURE_DOTPROD /* the compiler's default, as on macOS */
#define NEON
#else
#define NEON __attribute__((target("arch=armv8.2-a+dotprod")))
#endif
#define NEON_INLINE static inline __attribute__((always_inline)) NEON
#define NEON_PART_TOKENS 4 /* tokens at once: 16 sums */

/* Adds the products of a column of GROUP_ROWS rows with a number. */
NEON_INLINE void neon_add_column(int32x4_t *dots, int16x8_t low, int16x8_t high, int16_t value) {
    dots[0] = vmlal_n_s16(dots[0], vget_low_s16(low), value);
    dots[1] = vmlal_n_s16(dots[1], vget_high_s16(low), value);
    dots[2] = vmlal_n_s16(dots[2], vget_low_s16(high), value);
    dots[3] = vmlal_n_s16(dots[3], vget_high_s16(high), value);
}

/* Sums of a block: dots[token * 4 + quarter of the rows]. */
NEON_INLINE void neon_add_int8_block(const RowPart *p, long b, const int count, int32x4_t *dots) {
    const int8_t *weights = (const int8_t *)p->weights + b * INT8_GROUP_BYTES;
#pragma GCC unroll 16
    for (int i = 0; i < 4 * count; i++) dots[i] = vdupq_n_s32(0);
#pragma GCC unroll 4
    for (int j = 0; j < BLOCK / 2; j++) {
        const int8x16x2_t columns = vld2q_s8(weights + 32 * j);
#pragma GCC unroll 2
        for (int c = 0; c < 2; c++) {
            const int16x8_t low = vmovl_s8(vget_low_s8(columns.val[c])), high = vmovl_s8(vget_high_s8(columns.val[c]));
#pragma GCC unroll 4
            for (int t = 0; t < count; t++) neon_add_column(dots + 4 * t, low, high, p->wide[t][b].values[2 * j + c]);
        }
    }
}

NEON_INLINE void neon_multiply_int8_tokens(const RowPart *p, const int count) {
    float32x4_t sums[4 * NEON_PART_TOKENS];
#pragma GCC unroll 16
    for (int i = 0; i < 4 * count; i++) sums[i] = p->first ? vld1q_f32(p->out[i / 4] + i % 4 * 4) : vdupq_n_f32(0);
    for (long b = 0; b < p->blocks; b++) {
        int32x4_t dots[4 * NEON_PART_TOKENS];
        neon_add_int8_block(p, b, count, dots);
#pragma GCC unroll 16
        for (int i = 0; i < 4 * count; i++) {
            const uint16x4_t four = vld1_u16(p->scales + b * GROUP_ROWS + i % 4 * 4);
            const float32x4_t row_scales = vreinterpretq_f32_u32(vshll_n_u16(four, 16));
            sums[i] = vfmaq_f32(sums[i], vcvtq_f32_s32(dots[i]), vmulq_n_f32(row_scales, p->wide[i / 4][b].scale));
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < 4 * count; i++) vst1q_f32(p->out[i / 4] + i % 4 * 4, sums[i]);
}

NEON static void neon_multiply_int8_part(const RowPart *p, long count) {
    switch (count) { /* a constant number of tokens, so that the sums stay in registers */
    case 1: neon_multiply_int8_tokens(p, 1); break;
    case 2: neon_multiply_int8_tokens(p, 2); break;
    case 3: neon_multiply_int8_tokens(p, 3); break;
    default: neon_multiply_int8_tokens(p, NEON_PART_TOKENS);
    }
}

#endif
