/* What the kernels share: shapes of data, and work spread over threads. */
#ifndef GPTOSS_COMMON_H
#define GPTOSS_COMMON_H

#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 32       /* numbers that share a scale, in MXFP4 and in our int8 */
#define BLOCK_BYTES 16 /* of an MXFP4 block: two numbers in a byte, the earlier one in the low nibble */
#define TILE_ROWS 16   /* weight rows that a tile kernel takes at once */
#define AHEAD 2048     /* bytes of weights that are asked for before they are needed: a tenth faster than without */
#define FEW 4          /* up to this many tokens, rows are multiplied straight from their packed form */

#if defined(__x86_64__) || defined(_M_X64)
#define X86 1
#include <immintrin.h>
#endif

/* Doubled MXFP4 values are whole numbers from -12 to 12. Plus 12 they are unsigned, which is what the multiply
 * instructions want for one side; the surplus is 12 times the sum of the other side, and is taken off at the end. */
#define OFFSET 12
static const uint8_t VALUES[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

/* Activations in 8 or in 15 bits: a block of 32 has one scale, and each number is 256 * high + low in units of it. The
 * high part alone is the number rounded to 8 bits. The even places of a block stand first and then the odd ones, as the
 * nibbles of the weights come. */
typedef struct {
    int8_t high[BLOCK], low[BLOCK];
    float scale;                   /* of the high part; half, as the weights are doubled */
    int32_t surplus, wide_surplus; /* minus OFFSET times the sum, in 8 and in 15 bits */
} Rounded;

/* How a row of activations lies: as it is; the even places of each block and then its odd ones; or, of four blocks
 * together, the even places of all and then the odd ones. */
typedef enum { NATURAL, BLOCKS, QUADS } Order;

/* Row by row, for few tokens. */
typedef struct {
    int8_t *high, *low;              /* [rows][blocks, rounded up to 4][32] */
    float *scales;                   /* [rows][blocks, rounded up to 16] */
    int32_t *surplus, *wide_surplus; /* the same shape */
    long blocks, value_stride, block_stride;
    Order order;
} Activations;

/* In groups of GROUP tokens that stand side by side, for many. */
#define GROUP 8
typedef struct {
    int8_t *high, *low;              /* [groups][blocks][GROUP][32] */
    float *scales;                   /* [groups][blocks][GROUP] */
    int32_t *surplus, *wide_surplus; /* the same shape */
    long blocks;
} Panels;

typedef struct {
    const uint8_t *blocks; /* [rows][blocks][16] */
    const uint8_t *scales; /* [rows][blocks] */
} Packed;

/* Multiplies `rows` weight rows with 1 to FEW activation rows in 15 bits: out[token * stride + row]. */
typedef void (*FewFunction)(Packed weights, long rows, const Activations *x, const int32_t *tokens, int count,
                            float *out, long stride);
/* The same for TILE_ROWS weight rows and `count` tokens whose panels begin with `group`, in 15 bits where `wide`; `room`
 * holds the unpacked tile. */
typedef void (*ManyFunction)(Packed weights, const Panels *x, long group, long count, int wide, void *room, float *out,
                             long stride);
/* int8 weights [rows][k] with a bfloat16 scale per block, times `count` rows of [k]: `x` in float32, and `rounded` in
 * natural order where the kernels want that. */
typedef void (*DenseFunction)(const int8_t *weights, const uint16_t *scales, long rows, long k, const float *x,
                              const Activations *rounded, long count, const float *bias, float *out, long stride);
/* Rounds a block of activations, or 32 gated values of 64 products. */
typedef Rounded (*RoundFunction)(const float *block, int natural);
typedef Rounded (*GateFunction)(const float *products, const float *bias, float alpha, float limit);
/* Of one token: RMS norm, the product of two vectors, attention of one head (see rounding.h). */
typedef void (*NormFunction)(const float *x, const float *weight, float epsilon, long count, float *out);
typedef float (*DotFunction)(const float *a, const float *b, long count);
typedef void (*AttendFunction)(const float *query, const float *keys, const float *values, long length, long width,
                               float scaling, float sink, float *scores, float *out);
/* int8 blocks as float32. */
typedef void (*WidenFunction)(const int8_t *weights, const uint16_t *scales, long blocks, float *out);

typedef struct {
    RoundFunction round;
    GateFunction gate;
    FewFunction few;
    ManyFunction many;
    DenseFunction dense;
    WidenFunction widen;
    NormFunction norm;
    DotFunction dot;
    AttendFunction attend;
    Order order;
    int rounds_dense;
} Kernels;

static inline long rounded_up(long value, long multiple) { return (value + multiple - 1) / multiple * multiple; }

static inline float bits_to_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* 2^(e - 127); 255 is NaN and 0 is 2^-127 (OCP Microscaling Formats 1.0, E8M0). */
static inline float scale_of(uint8_t exponent) {
    return bits_to_float(exponent == 255 ? 0x7fc00000u : exponent == 0 ? 0x00400000u : (uint32_t)exponent << 23);
}

static inline float widened(uint16_t bfloat16) { return bits_to_float((uint32_t)bfloat16 << 16); }

/* Where the even and the odd places of a block stand in a row of activations. */
static inline long even_place(long block, Order order) {
    return order == QUADS ? block / 4 * 128 + block % 4 * 16 : block * 32;
}
static inline long odd_place(long block, Order order) { return even_place(block, order) + (order == QUADS ? 64 : 16); }

/* ---- threads */

typedef void (*Task)(void *context, long item);
typedef void (*OpenMpParallel)(void (*body)(void *), void *data, unsigned threads, unsigned flags);

typedef struct {
    Task task;
    void *context;
    long items, grain, shares;
    atomic_long next;
} Job;

static OpenMpParallel openmp_parallel; /* torch's own, so that its threads and ours are the same ones */

/* Takes a share of what is left: long runs of weights first, which memory reads fastest, and short ones last, so that
 * no thread waits long for another. */
static void work_on(void *data) {
    Job *job = data;
    long first = atomic_load(&job->next);
    for (;;) {
        long take;
        do {
            if (first >= job->items) return;
            take = (job->items - first) / job->shares;
            take = take > job->grain ? take : job->grain;
        } while (!atomic_compare_exchange_weak(&job->next, &first, first + take));
        const long end = first + take < job->items ? first + take : job->items;
        for (long item = first; item < end; item++) job->task(job->context, item);
        first = atomic_load(&job->next);
    }
}

/* Runs task(context, item) for each item, at least `grain` at a time. */
static void spread(Task task, void *context, long items, long grain, int threads) {
    Job job = {.task = task, .context = context, .items = items, .grain = grain, .shares = 3L * threads};
    atomic_init(&job.next, 0);
    if (threads > 1 && items > grain && openmp_parallel)
        openmp_parallel(work_on, &job, (unsigned)threads, 0);
    else
        work_on(&job);
}

#endif
