/* Data layouts that all levels share. */
#ifndef GPTOSS_COMMON_H
#define GPTOSS_COMMON_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 32       /* numbers per scale, in MXFP4 and in our int8 and int4 */
#define BLOCK_BYTES 16 /* size of an MXFP4 block: two numbers per byte, the earlier one in the low nibble */
#define GROUP_ROWS 16  /* rows of an int8 or int4 matrix that are stored together */
#define INT8_GROUP_BYTES (GROUP_ROWS * BLOCK)     /* size of a block of GROUP_ROWS int8 rows */
#define INT4_GROUP_BYTES (GROUP_ROWS * BLOCK / 2) /* the same of int4 rows */

#if defined(__x86_64__) || defined(_M_X64)
#define X86 1
#include <immintrin.h>
#endif
#if defined(__aarch64__) && (defined(__linux__) || defined(__APPLE__))
#define ARM64 1
#ifdef __linux__
#include <sys/auxv.h>
#endif
/* All of Apple's processors have the dot product instructions; Linux tells by HWCAP_ASIMDDP. */
static inline int has_dot_product(void) {
#ifdef __linux__
    return getauxval(AT_HWCAP) >> 20 & 1;
#else
    return 1;
#endif
}
#endif

/* Return codes of the exported functions; native.py has the same numbers. */
enum { OK = 0, OUT_OF_MEMORY = 1, INVALID_SIZE = 3, INVALID_BATCH = 4, ABORTED = 5 };

/* Doubled MXFP4 values are whole numbers from -12 to 12. Adding 12 makes them unsigned, which the multiply instructions
 * need for one operand. The product is then too large by 12 times the sum of the other operand; the correction is
 * added at the end. */
#define VALUE_OFFSET 12
static const uint8_t VALUES[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

/* ---- matrices and rounded activations */

typedef enum { FORMAT_MXFP4 = 0, FORMAT_INT8 = 1, FORMAT_BF16 = 2, FORMAT_INT4 = 3 } WeightFormat;
enum { NEED_8 = 1, NEED_16 = 2, NEED_FLOAT = 4 };

/* One matrix of `rows` rows and k columns.
 * MXFP4: weights uint8 [rows][k/32][16], scales uint8 [rows][k/32], as checkpoints have them.
 * INT8: weights int8 [rows/16][k/2][16 rows][2 columns], scales bfloat16 [rows/16][k/32][16 rows]. One load has the
 * same two columns of several rows, which the instructions multiply and add up, so that every row has a sum of its own.
 * `rows` is rounded up in memory, and the rows that are added are zeros.
 * BF16: weights uint16 [rows][k], no scales.
 * INT4: weights uint8 [rows/16][k/32][4 parts][16 rows][4 bytes], in whose bytes two numbers from 0 to 15 lie as in MXFP4:
 * byte i of part j has columns 8 * j + 2 * i and 8 * j + 2 * i + 1. Scales float16 [rows/16][k/32][2][16 rows]: the factors
 * of the rows and what is added to their products: a weight is number * factor + minimum. Rows are padded as in INT8. */
typedef struct {
    const void *weights, *scales;
    int64_t rows, k;
    int32_t format, bits; /* of activations before MXFP4 and INT4 weights: 8 or 16; INT8 reads 16, BF16 float32 */
} WeightMatrix;

/* A block of 32 activations, in whole numbers of `scale`. */
typedef struct {
    int8_t values[BLOCK];     /* even columns, then odd columns: the order of the nibbles of MXFP4 and INT4 weights */
    float scale, sum;         /* the sum is that of the rounded numbers */
    int32_t value_correction; /* -VALUE_OFFSET times the sum of `values` */
    int32_t unused;           /* so that 16 values never lie in two lines of the cache */
} NarrowBlock;

typedef struct {
    int16_t values[BLOCK]; /* columns in order */
    float scale, sum;      /* as in NarrowBlock */
} WideBlock;

/* Forms that were not asked for are NULL. */
typedef struct {
    long tokens, k;
    NarrowBlock *narrow; /* [tokens][k/32] */
    WideBlock *wide;     /* [tokens][k/32] */
    float *exact;        /* [tokens][k] */
} Activations;

/* Rounds one token's k numbers; see round_token in matrix.h. */
typedef void (*RoundTokenFunction)(Activations *to, long token, const float *x);
/* Multiplies rows; see multiply_rows in matrix.h. Of INT8 and INT4 rows, first_row and row_count are multiples of
 * GROUP_ROWS. */
typedef void (*MultiplyRowsFunction)(const WeightMatrix *w, long first_row, long row_count, const Activations *x,
                                     const int32_t *tokens, long count, void *scratch, float *out, long stride);

/* Weights to be rounded to int8. */
typedef struct {
    const void *source; /* [rows][k], bfloat16 if is_bfloat16, else float32 */
    int8_t *weights;    /* as in WeightMatrix */
    uint16_t *scales;
    int64_t rows, k;
    int32_t is_bfloat16, threads, level;
} Quantization;

/* Rounds GROUP_ROWS rows, or those that remain, from `row` on. */
typedef void (*QuantizeRowsFunction)(const Quantization *q, long row);

/* The functions of one level. */
typedef struct {
    RoundTokenFunction round_token;
    MultiplyRowsFunction multiply_rows; /* its row_count is a multiple of row_group */
    QuantizeRowsFunction quantize_rows;
    int row_group;
} Kernels;

static inline long round_up(long value, long multiple) { return (value + multiple - 1) / multiple * multiple; }

static inline float bits_to_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* 2^(exponent - 127); 255 is NaN and 0 is 2^-127 (OCP Microscaling Formats 1.0, E8M0). */
static inline float decode_scale(uint8_t exponent) {
    return bits_to_float(exponent == 255 ? 0x7fc00000u : exponent == 0 ? 0x00400000u : (uint32_t)exponent << 23);
}

static inline float bfloat16_to_float(uint16_t bfloat16) { return bits_to_float((uint32_t)bfloat16 << 16); }

/* IEEE 754 binary16. Multiplying by 2^112 changes the exponent's bias and is exact. */
static inline float half_to_float(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff;
    if (rest >= 0x7c00) return bits_to_float(sign | 0x7f800000 | (rest & 0x3ff) << 13);
    const float value = bits_to_float(rest << 13) * 0x1p112f;
    return sign ? -value : value;
}

static inline int is_grouped(const WeightMatrix *w) { return w->format == FORMAT_INT8 || w->format == FORMAT_INT4; }

/* A block of GROUP_ROWS int8 or int4 rows, and its scales; `row` is a multiple of GROUP_ROWS. */
static inline const uint8_t *find_group_weights(const WeightMatrix *w, long row, long block) {
    const long index = row / GROUP_ROWS * (w->k / BLOCK) + block;
    return (const uint8_t *)w->weights + index * (w->format == FORMAT_INT8 ? INT8_GROUP_BYTES : INT4_GROUP_BYTES);
}

static inline const uint16_t *find_group_scales(const WeightMatrix *w, long row, long block) {
    const long index = row / GROUP_ROWS * (w->k / BLOCK) + block;
    return (const uint16_t *)w->scales + index * (w->format == FORMAT_INT8 ? GROUP_ROWS : 2 * GROUP_ROWS);
}

#endif
