/* MXFP4 experts and int8 matrices on a CPU, multiplied straight from their packed form.
 *
 * A checkpoint's blocks and scales are used as they lie in its file. A few tokens (decode) meet the packed rows
 * directly; many tokens (prefill) meet tiles of 16 rows that were unpacked once for all of them. Activations are whole
 * numbers with a scale per block of 32 for the experts, and stay float32 for the int8 matrices.
 */
#include "common.h"
#include "portable.h"
#ifdef X86
#include "avx2.h"
#include "avx512.h"
#endif

#define EXPORT __attribute__((visibility("default")))
/* So many tokens get 15-bit activations: reading and unpacking weights takes most of the time then. For more tokens
 * multiplying does, and 8 bits take half of that. */
#define WIDE_TOKENS 64
#define GATE_UP_ROWS (2 * BLOCK) /* of gate_up that make one block of the hidden state between */

/* Takes torch's OpenMP entry point (may be null) and returns the best level that the processor has: 0 portable,
 * 1 AVX2, 2 AVX-512. */
EXPORT int gptoss_init(OpenMpParallel parallel) {
    openmp_parallel = parallel;
#ifdef X86
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni") &&
        __builtin_cpu_supports("avx512vbmi"))
        return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
    return 0;
}

static const Kernels *kernels_of(int32_t level) {
#ifdef X86
    if (level == 2) return &AVX512_KERNELS;
    if (level == 1) return &AVX2_KERNELS;
#endif
    (void)level;
    return &PORTABLE;
}

/* ---- rounding to 8 bits */

/* The largest magnitude, by the bits without the sign, so that a NaN wins over everything. */
static inline float largest_of(const float *block) {
    uint32_t largest = 0;
    for (int j = 0; j < BLOCK; j++) {
        uint32_t bits;
        memcpy(&bits, block + j, 4);
        bits &= 0x7fffffff;
        largest = bits > largest ? bits : largest;
    }
    return bits_to_float(largest);
}

/* Rounds to the nearest whole number: adding 1.5 * 2^23 leaves it in the low bits. */
static inline void round_block(const float *block, float factor, int8_t *values) {
    for (int j = 0; j < BLOCK; j++) {
        float shifted = block[j] * factor + 12582912.0f;
        uint32_t bits;
        memcpy(&bits, &shifted, 4);
        values[j] = (int8_t)(bits - 0x4b400000u);
    }
}

/* The same in 15 bits: high is round(value / 256) of the 15-bit value, and low what is left. */
static inline void round_wide(const float *block, float factor, int8_t *high, int8_t *low) {
    for (int j = 0; j < BLOCK; j++) {
        float shifted = block[j] * factor + 12582912.0f;
        uint32_t bits;
        memcpy(&bits, &shifted, 4);
        int32_t value = (int32_t)(bits - 0x4b400000u);
        high[j] = (int8_t)((value + 128) >> 8);
        low[j] = (int8_t)value;
    }
}

static void quantize(const float *x, const Activations *to, long row) {
    for (long b = 0; b < to->blocks; b++) {
        const float *block = x + b * BLOCK;
        const long even = row * to->value_stride + even_place(b, to->paired);
        const long odd = row * to->value_stride + odd_place(b, to->paired);
        int8_t high[BLOCK] = {0}, low[BLOCK] = {0};
        const float most = largest_of(block);
        const int finite = most <= 3e38f, usable = finite && most >= 1e-30f;
        if (usable) round_wide(block, 127 * 256 / most, high, low);
        int32_t high_sum = 0, low_sum = 0;
        for (int j = 0; j < BLOCK_BYTES; j++) {
            to->high[even + j] = high[2 * j];
            to->high[odd + j] = high[2 * j + 1];
            to->low[even + j] = low[2 * j];
            to->low[odd + j] = low[2 * j + 1];
            high_sum += high[2 * j] + high[2 * j + 1];
            low_sum += low[2 * j] + low[2 * j + 1];
        }
        const long place = row * to->block_stride + b;
        /* Infinities and NaN make every product of the block NaN. */
        to->scales[place] = usable ? most / 254 : finite ? 0 : bits_to_float(0x7fc00000u);
        to->surplus[place] = -OFFSET * high_sum;
        to->wide_surplus[place] = -OFFSET * (256 * high_sum + low_sum);
    }
}

/* Zeroed, and aligned so that no vector crosses a line of the cache. */
static void *zeroed(size_t size) {
    size = (size_t)rounded_up((long)size, 64);
    void *memory = aligned_alloc(64, size);
    return memory ? memset(memory, 0, size) : NULL;
}

static int activations(Activations *x, long rows, long k, int paired) {
    x->blocks = k / BLOCK;
    x->value_stride = rounded_up(x->blocks, 2) * BLOCK;
    x->block_stride = rounded_up(x->blocks, 16);
    x->paired = paired;
    x->high = zeroed((size_t)(rows * x->value_stride) * 2);
    x->low = x->high ? x->high + rows * x->value_stride : NULL;
    x->scales = zeroed((size_t)(rows * x->block_stride) * 4);
    x->surplus = zeroed((size_t)(rows * x->block_stride) * 8);
    x->wide_surplus = x->surplus ? x->surplus + rows * x->block_stride : NULL;
    return x->high && x->scales && x->surplus;
}

static void release(Activations *x) {
    free(x->high);
    free(x->scales);
    free(x->surplus);
}

/* ---- experts */

typedef struct {
    /* What Python passes; kernel.py has the same fields in the same order. */
    const float *hidden;       /* [tokens][hidden_size] */
    const int64_t *experts;    /* [tokens][active] */
    const float *shares;       /* [tokens][active] */
    const uint8_t *gate_up_blocks, *gate_up_scales, *down_blocks, *down_scales;
    const float *gate_up_bias, *down_bias;
    float *out; /* [tokens][hidden_size] */
    int64_t tokens, active, expert_count, hidden_size, intermediate_size;
    float alpha, limit;
    int32_t threads, level;
} Experts;

typedef struct {
    const Experts *e;
    const Kernels *kernels;
    Activations x, gated;  /* by token; by slot */
    long *starts;          /* [expert_count + 1]: each expert's slots */
    int32_t *slots;        /* slots in the order of their experts; slot = token * active + choice */
    int32_t *tokens;       /* their tokens */
    int32_t *busy;         /* experts that have slots */
    long busy_count;
    int wide;
    float *products;       /* [slots][hidden_size] */
    atomic_int failed;
} Mixture;

static int sort_by_expert(Mixture *m) {
    const Experts *e = m->e;
    const long slots = e->tokens * e->active;
    for (long s = 0; s < slots; s++) m->starts[e->experts[s] + 1]++;
    for (long i = 0; i < e->expert_count; i++) {
        if (m->starts[i + 1]) m->busy[m->busy_count++] = (int32_t)i;
        m->starts[i + 1] += m->starts[i];
    }
    long *next = malloc((size_t)e->expert_count * sizeof(long));
    if (!next) return 0;
    memcpy(next, m->starts, (size_t)e->expert_count * sizeof(long));
    for (long s = 0; s < slots; s++) {
        long place = next[e->experts[s]]++;
        m->slots[place] = (int32_t)s;
        m->tokens[place] = (int32_t)(s / e->active);
    }
    free(next);
    return 1;
}

static void quantize_token(void *context, long token) {
    Mixture *m = context;
    quantize(m->e->hidden + token * m->e->hidden_size, &m->x, token);
}

/* out[place * stride + row] for rows of one expert and all of its slots; `inputs` are rows of `x`. */
static void multiply(const Kernels *kernels, Packed weights, long rows, const Activations *x, const int32_t *inputs, long count, int wide,
                     void *room, float *out, long stride) {
    if (count <= FEW) {
        kernels->few(weights, rows, x, inputs, (int)count, out, stride);
        return;
    }
    for (long r = 0; r < rows; r += TILE_ROWS) {
        Packed tile = {weights.blocks + r * x->blocks * BLOCK_BYTES, weights.scales + r * x->blocks};
        kernels->many(tile, x, inputs, count, wide, room, out + r, stride);
    }
}

static size_t tile_room(long blocks) { return (size_t)rounded_up(blocks * TILE_ROWS * (BLOCK + 4) + 64, 64); }

/* Rounded to float32's last bits for any x: 2^f by its Taylor polynomial around 0, times 2^n in the exponent. */
static inline float exponential(float x) {
    float y = x * 1.44269504f;
    y = y < -126 ? -126 : y > 126 ? 126 : y;
    float n = floorf(y + 0.5f), f = (y - n) * 0.69314718f;
    float p = 1 + f * (1 + f * (0.5f + f * (1 / 6.0f + f * (1 / 24.0f + f * (1 / 120.0f + f / 720)))));
    return p * bits_to_float((uint32_t)((int32_t)n + 127) << 23);
}

/* 64 rows of gate_up make 32 gated values (gate_up interleaves gate and up), which is one block of `gated`. */
static void gate_task(void *context, long item) {
    Mixture *m = context;
    const Experts *e = m->e;
    const long per_expert = e->intermediate_size / BLOCK;
    const long expert = m->busy[item / per_expert], block = item % per_expert, first = m->starts[expert];
    const long count = m->starts[expert + 1] - first, row = expert * 2 * e->intermediate_size + block * GATE_UP_ROWS;
    const size_t room_size = tile_room(m->x.blocks);
    char *room = aligned_alloc(64, room_size + (size_t)(count * GATE_UP_ROWS * 4));
    if (!room) {
        m->failed = 1;
        return;
    }
    float *products = (float *)(room + room_size);
    Packed weights = {e->gate_up_blocks + row * m->x.blocks * BLOCK_BYTES, e->gate_up_scales + row * m->x.blocks};
    multiply(m->kernels, weights, GATE_UP_ROWS, &m->x, m->tokens + first, count, m->wide, room, products, GATE_UP_ROWS);
    const float *bias = e->gate_up_bias + row;
    for (long s = 0; s < count; s++) {
        const float *from = products + s * GATE_UP_ROWS;
        float gated[BLOCK];
        for (int j = 0; j < BLOCK; j++) { /* the comparisons let a NaN through */
            float gate = from[2 * j] + bias[2 * j], up = from[2 * j + 1] + bias[2 * j + 1];
            gate = gate > e->limit ? e->limit : gate;
            up = up > e->limit ? e->limit : up < -e->limit ? -e->limit : up;
            gated[j] = (up + 1) * gate / (1 + exponential(-e->alpha * gate));
        }
        Activations place = m->gated;
        place.blocks = 1;
        place.high += even_place(block, place.paired);
        place.low += even_place(block, place.paired);
        place.scales += block;
        place.surplus += block;
        place.wide_surplus += block;
        quantize(gated, &place, m->slots[first + s]);
    }
    free(room);
}

static void down_task(void *context, long item) {
    Mixture *m = context;
    const Experts *e = m->e;
    const long per_expert = e->hidden_size / BLOCK;
    const long expert = m->busy[item / per_expert], column = item % per_expert * BLOCK, first = m->starts[expert];
    const long count = m->starts[expert + 1] - first, row = expert * e->hidden_size + column;
    const size_t room_size = tile_room(m->gated.blocks);
    char *room = aligned_alloc(64, room_size + (size_t)(count * BLOCK * 4));
    if (!room) {
        m->failed = 1;
        return;
    }
    float *products = (float *)(room + room_size);
    Packed weights = {e->down_blocks + row * m->gated.blocks * BLOCK_BYTES, e->down_scales + row * m->gated.blocks};
    multiply(m->kernels, weights, BLOCK, &m->gated, m->slots + first, count, m->wide, room, products, BLOCK);
    for (long s = 0; s < count; s++) {
        float *to = m->products + m->slots[first + s] * e->hidden_size + column;
        for (int j = 0; j < BLOCK; j++) to[j] = products[s * BLOCK + j] + e->down_bias[row + j];
    }
    free(room);
}

static void combine_task(void *context, long token) {
    Mixture *m = context;
    const Experts *e = m->e;
    float *out = e->out + token * e->hidden_size;
    memset(out, 0, (size_t)e->hidden_size * 4);
    for (long a = 0; a < e->active; a++) {
        const float *from = m->products + (token * e->active + a) * e->hidden_size;
        const float share = e->shares[token * e->active + a];
        for (long j = 0; j < e->hidden_size; j++) out[j] += share * from[j];
    }
}

/* Returns 0, or 1 where memory ran out. */
EXPORT int gptoss_experts(const Experts *e) {
    const long slots = e->tokens * e->active;
    const Kernels *kernels = kernels_of(e->level);
    Mixture m = {.e = e, .kernels = kernels, .wide = e->tokens <= WIDE_TOKENS};
    m.starts = calloc((size_t)e->expert_count + 1, sizeof(long));
    m.busy = malloc((size_t)e->expert_count * 4);
    m.slots = malloc((size_t)slots * 8);
    m.tokens = m.slots ? m.slots + slots : NULL;
    m.products = malloc((size_t)(slots * e->hidden_size) * 4);
    int ready = m.starts && m.busy && m.slots && m.products && activations(&m.x, e->tokens, e->hidden_size, kernels->paired) &&
                activations(&m.gated, slots, e->intermediate_size, kernels->paired) && sort_by_expert(&m);
    if (ready) {
        spread(quantize_token, &m, e->tokens, 8, e->threads);
        spread(gate_task, &m, m.busy_count * (e->intermediate_size / BLOCK), 1, e->threads);
        if (!m.failed) spread(down_task, &m, m.busy_count * (e->hidden_size / BLOCK), 2, e->threads);
        if (!m.failed) spread(combine_task, &m, e->tokens, 8, e->threads);
    }
    release(&m.x);
    release(&m.gated);
    free(m.starts);
    free(m.busy);
    free(m.slots);
    free(m.products);
    return !ready || m.failed;
}

/* ---- int8 matrices */

typedef struct {
    const int8_t *weights;
    const uint16_t *scales;
    const float *x, *bias;
    float *out;
    int64_t rows, k, count;
    int32_t threads, level;
} Dense;

#define DENSE_ROWS 64

static void dense_task(void *context, long item) {
    const Dense *d = context;
    const long row = item * DENSE_ROWS, rows = d->rows - row < DENSE_ROWS ? d->rows - row : DENSE_ROWS;
    kernels_of(d->level)->dense(d->weights + row * d->k, d->scales + row * (d->k / BLOCK), rows, d->k, d->x, d->count,
                  d->bias ? d->bias + row : NULL, d->out + row, d->rows);
}

/* out [count][rows] = x [count][k] times weights [rows][k], plus a bias that may be null. */
EXPORT void gptoss_dense(const Dense *d) {
    spread(dense_task, (void *)d, (d->rows + DENSE_ROWS - 1) / DENSE_ROWS, 1, d->threads);
}

static void widen_task(void *context, long item) {
    const Dense *d = context;
    const long row = item * DENSE_ROWS, rows = d->rows - row < DENSE_ROWS ? d->rows - row : DENSE_ROWS;
    const long blocks = d->k / BLOCK;
    kernels_of(d->level)->widen(d->weights + row * d->k, d->scales + row * blocks, rows * blocks, d->out + row * d->k);
}

/* out [rows][k] = the weights as float32, for matrix products with many tokens. */
EXPORT void gptoss_widen(const Dense *d) {
    spread(widen_task, (void *)d, (d->rows + DENSE_ROWS - 1) / DENSE_ROWS, 1, d->threads);
}

typedef struct {
    const void *source;
    int8_t *weights;
    uint16_t *scales;
    int64_t rows, k;
    int32_t bfloat16, threads; /* whether the source is bfloat16, or else float32 */
} Narrow;

static void narrow_task(void *context, long row) {
    const Narrow *n = context;
    for (long b = 0; b < n->k / BLOCK; b++) {
        const long place = row * n->k + b * BLOCK;
        float block[BLOCK];
        for (int j = 0; j < BLOCK; j++)
            block[j] = n->bfloat16 ? widened(((const uint16_t *)n->source)[place + j])
                                   : ((const float *)n->source)[place + j];
        const float scale = largest_of(block) / 127;
        uint32_t bits;
        memcpy(&bits, &scale, 4);
        uint16_t kept = (uint16_t)((bits + 0xffff) >> 16); /* rounded up, so that the largest number still fits */
        if (scale < 1e-35f) kept = 0;
        n->scales[row * (n->k / BLOCK) + b] = kept;
        if (kept && scale <= 3e38f)
            round_block(block, 1 / widened(kept), n->weights + place);
        else
            memset(n->weights + place, 0, BLOCK);
    }
}

/* weights [rows][k] and scales [rows][k / 32] = the source, rounded to int8. */
EXPORT void gptoss_narrow(const Narrow *n) { spread(narrow_task, (void *)n, n->rows, 16, n->threads); }
