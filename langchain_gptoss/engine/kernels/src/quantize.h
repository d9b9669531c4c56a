/* Rounding of weights to int8 in plain C, which defines the result. */
#ifndef GPTOSS_QUANTIZE_H
#define GPTOSS_QUANTIZE_H

#include "generic.h"

/* Rounds a block and returns its scale, a bfloat16. Numbers that are not finite give zeros with such a scale. */
static inline uint16_t quantize_block(const float *block, int8_t *values) {
    const float scale = find_largest_magnitude(block) / 127;
    uint32_t bits;
    memcpy(&bits, &scale, 4);
    uint16_t kept = (uint16_t)((bits + 0xffff) >> 16); /* rounded up, so that the largest number stays in range */
    if (scale < 1e-35f) kept = 0;
    if (kept && scale <= 3e38f)
        round_to_int8(block, 1 / bfloat16_to_float(kept), values);
    else
        memset(values, 0, BLOCK);
    return kept;
}

/* One block of up to GROUP_ROWS rows; rows that do not exist become zeros. */
static void portable_quantize_block(const Quantization *q, long row, long b) {
    int8_t *weights = q->weights + row * q->k + b * BLOCK * GROUP_ROWS;
    uint16_t *scales = q->scales + row * (q->k / BLOCK) + b * GROUP_ROWS;
    for (long r = 0; r < GROUP_ROWS; r++) {
        float block[BLOCK] = {0};
        int8_t values[BLOCK];
        const long start = (row + r) * q->k + b * BLOCK;
        if (row + r < q->rows && q->is_bfloat16)
            for (int j = 0; j < BLOCK; j++) block[j] = bfloat16_to_float(((const uint16_t *)q->source)[start + j]);
        else if (row + r < q->rows)
            memcpy(block, (const float *)q->source + start, sizeof block);
        scales[r] = quantize_block(block, values);
        for (int j = 0; j < BLOCK / 2; j++) memcpy(weights + (j * GROUP_ROWS + r) * 2, values + 2 * j, 2);
    }
}

static void portable_quantize_rows(const Quantization *q, long row) {
    for (long b = 0; b < q->k / BLOCK; b++) portable_quantize_block(q, row, b);
}

#endif
