/* NEON: products of int4 weights, which are stored in GROUP_ROWS rows; see WeightMatrix. */
#ifndef GPTOSS_NEON_INT4_H
#define GPTOSS_NEON_INT4_H

#include "neon_int8.h"

/* Adds the products of even or odd columns of 4 rows; lane j of the values belongs to part j. */
#define NEON_ADD_INT4(dot, bytes, values, j) vdotq_laneq_s32(dot, vreinterpretq_s8_u8(bytes), values, j)

/* Sums of a block: dots[token * 4 + quarter of the rows]. */
NEON_INLINE void neon_add_int4_block(const RowPart *p, long b, const int count, int32x4_t *dots) {
    const uint8_t *weights = p->weights + b * INT4_GROUP_BYTES;
    int8x16_t even[NEON_PART_TOKENS], odd[NEON_PART_TOKENS];
#pragma GCC unroll 4
    for (int t = 0; t < count; t++) {
        even[t] = vld1q_s8(p->narrow[t][b].values);
        odd[t] = vld1q_s8(p->narrow[t][b].values + 16);
    }
#define NEON_ADD_PART(j)                                                                                               \
    for (int q = 0; q < 4; q++) {                                                                                      \
        const uint8x16_t bytes = vld1q_u8(weights + 64 * j + 16 * q);                                                  \
        const uint8x16_t low = vandq_u8(bytes, vdupq_n_u8(15)), high = vshrq_n_u8(bytes, 4);                           \
        for (int t = 0; t < count; t++) {                                                                              \
            int32x4_t *dot = dots + 4 * t + q;                                                                         \
            *dot = NEON_ADD_INT4(j ? *dot : vdupq_n_s32(0), low, even[t], j);                                          \
            *dot = NEON_ADD_INT4(*dot, high, odd[t], j);                                                               \
        }                                                                                                              \
    }
    NEON_ADD_PART(0) /* the number of a lane is a constant of the instruction */
    NEON_ADD_PART(1)
    NEON_ADD_PART(2)
    NEON_ADD_PART(3)
#undef NEON_ADD_PART
}

/* The same with 16 bits. Each load has eight columns of all rows. */
NEON_INLINE void neon_add_wide_int4_block(const RowPart *p, long b, const int count, int32x4_t *dots) {
    const uint8_t *weights = p->weights + b * INT4_GROUP_BYTES;
#pragma GCC unroll 16
    for (int i = 0; i < 4 * count; i++) dots[i] = vdupq_n_s32(0);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        const uint8x16x4_t bytes = vld4q_u8(weights + 64 * j);
#pragma GCC unroll 8
        for (int c = 0; c < 8; c++) {
            const uint8x16_t byte = bytes.val[c / 2];
            const uint8x16_t column = c % 2 ? vshrq_n_u8(byte, 4) : vandq_u8(byte, vdupq_n_u8(15));
            const int16x8_t low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(column)));
            const int16x8_t high = vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(column)));
#pragma GCC unroll 4
            for (int t = 0; t < count; t++) neon_add_column(dots + 4 * t, low, high, p->wide[t][b].values[8 * j + c]);
        }
    }
}

NEON_INLINE float32x4_t neon_load_halves(const uint16_t *from) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from)));
}

NEON_INLINE void neon_multiply_int4_tokens(const RowPart *p, const int bits, const int count) {
    float32x4_t sums[4 * NEON_PART_TOKENS];
#pragma GCC unroll 16
    for (int i = 0; i < 4 * count; i++) sums[i] = p->first ? vld1q_f32(p->out[i / 4] + i % 4 * 4) : vdupq_n_f32(0);
    for (long b = 0; b < p->blocks; b++) {
        int32x4_t dots[4 * NEON_PART_TOKENS];
        if (bits == 16)
            neon_add_wide_int4_block(p, b, count, dots);
        else
            neon_add_int4_block(p, b, count, dots);
        const uint16_t *scales = p->scales + b * 2 * GROUP_ROWS;
#pragma GCC unroll 16
        for (int i = 0; i < 4 * count; i++) {
            const int t = i / 4, q = i % 4;
            const float scale = bits == 16 ? p->wide[t][b].scale : p->narrow[t][b].scale;
            const float sum = bits == 16 ? p->wide[t][b].sum : p->narrow[t][b].sum;
            const float32x4_t factors = neon_load_halves(scales + 4 * q);
            sums[i] = vfmaq_f32(sums[i], vcvtq_f32_s32(dots[i]), vmulq_n_f32(factors, scale));
            sums[i] = vfmaq_n_f32(sums[i], neon_load_halves(scales + GROUP_ROWS + 4 * q), sum);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < 4 * count; i++) vst1q_f32(p->out[i / 4] + i % 4 * 4, sums[i]);
}

/* A constant number of tokens, so that the sums stay in registers. */
NEON_INLINE void neon_multiply_int4_part(const RowPart *p, const int bits, long count) {
    switch (count) {
    case 1: neon_multiply_int4_tokens(p, bits, 1); break;
    case 2: neon_multiply_int4_tokens(p, bits, 2); break;
    case 3: neon_multiply_int4_tokens(p, bits, 3); break;
    default: neon_multiply_int4_tokens(p, bits, NEON_PART_TOKENS);
    }
}

NEON static void neon_multiply_int4_part_8(const RowPart *p, long count) { neon_multiply_int4_part(p, 8, count); }

NEON static void neon_multiply_int4_part_16(const RowPart *p, long count) { neon_multiply_int4_part(p, 16, count); }

#endif
