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

/* ---- activations */

static inline void store_row(const Activations *to, long row, long block, const Rounded *from) {
    const long even = row * to->value_stride + even_place(block, to->order);
    const long odd = row * to->value_stride + odd_place(block, to->order), place = row * to->block_stride + block;
    memcpy(to->high + even, from->high, BLOCK_BYTES);
    memcpy(to->high + odd, from->high + BLOCK_BYTES, BLOCK_BYTES);
    memcpy(to->low + even, from->low, BLOCK_BYTES);
    memcpy(to->low + odd, from->low + BLOCK_BYTES, BLOCK_BYTES);
    to->scales[place] = from->scale;
    to->surplus[place] = from->surplus;
    to->wide_surplus[place] = from->wide_surplus;
}

/* `slot` counts the tokens of the panels, from those of `group` on. */
static inline void store_panel(const Panels *to, long group, long slot, long block, const Rounded *from) {
    const long place = ((group + slot / GROUP) * to->blocks + block) * GROUP + slot % GROUP;
    memcpy(to->high + place * BLOCK, from->high, BLOCK);
    memcpy(to->low + place * BLOCK, from->low, BLOCK);
    to->scales[place] = from->scale;
    to->surplus[place] = from->surplus;
    to->wide_surplus[place] = from->wide_surplus;
}

/* Zeroed, and aligned so that no vector crosses a line of the cache. */
static void *zeroed(long size) {
    size = rounded_up(size + 1, 64);
    void *memory = aligned_alloc(64, (size_t)size);
    return memory ? memset(memory, 0, (size_t)size) : NULL;
}

static int make_rows(Activations *x, long rows, long k, Order order) {
    x->blocks = k / BLOCK;
    x->value_stride = rounded_up(x->blocks, 4) * BLOCK;
    x->block_stride = rounded_up(x->blocks, 16);
    x->order = order;
    x->high = zeroed(rows * x->value_stride * 2);
    x->low = x->high ? x->high + rows * x->value_stride : NULL;
    x->scales = zeroed(rows * x->block_stride * 4);
    x->surplus = zeroed(rows * x->block_stride * 8);
    x->wide_surplus = x->surplus ? x->surplus + rows * x->block_stride : NULL;
    return x->high && x->scales && x->surplus;
}

static int make_panels(Panels *x, long groups, long k) {
    const long count = groups * (k / BLOCK) * GROUP;
    x->blocks = k / BLOCK;
    x->high = aligned_alloc(64, (size_t)rounded_up(count * BLOCK * 2 + 1, 64));
    x->low = x->high ? x->high + count * BLOCK : NULL;
    x->scales = aligned_alloc(64, (size_t)rounded_up(count * 12 + 1, 64));
    x->surplus = x->scales ? (int32_t *)(x->scales + count) : NULL;
    x->wide_surplus = x->surplus ? x->surplus + count : NULL;
    return x->high && x->scales;
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
    Activations x, gated;          /* of experts with few tokens */
    Panels many_x, many_gated;     /* of experts with many */
    long *starts;                  /* [expert_count + 1]: each expert's places */
    long *rows, *groups;           /* [expert_count + 1]: its activations, row by row or in panels */
    int32_t *slots;                /* by place; slot = token * active + choice, places are ordered by expert */
    int32_t *numbers;              /* 0, 1, 2, ... */
    int32_t *busy;                 /* experts that have places */
    long busy_count;
    int wide;
    float *products;               /* [slots][hidden_size] */
    atomic_int failed;
} Mixture;

/* Orders the slots by their experts. Returns 0 where an expert is none or memory ran out. */
static int sort_by_expert(Mixture *m) {
    const Experts *e = m->e;
    const long slots = e->tokens * e->active;
    for (long s = 0; s < slots; s++) {
        if (e->experts[s] < 0 || e->experts[s] >= e->expert_count) return 0;
        m->starts[e->experts[s] + 1]++;
    }
    for (long i = 0; i < e->expert_count; i++) {
        const long count = m->starts[i + 1];
        if (count) m->busy[m->busy_count++] = (int32_t)i;
        m->rows[i + 1] = m->rows[i] + (count > FEW ? 0 : count);
        m->groups[i + 1] = m->groups[i] + (count > FEW ? (count + GROUP - 1) / GROUP : 0);
        m->starts[i + 1] += m->starts[i];
    }
    long *next = malloc((size_t)e->expert_count * sizeof(long));
    if (!next) return 0;
    memcpy(next, m->starts, (size_t)e->expert_count * sizeof(long));
    for (long s = 0; s < slots; s++) m->slots[next[e->experts[s]]++] = (int32_t)s;
    for (long s = 0; s < slots; s++) m->numbers[s] = (int32_t)s;
    free(next);
    return 1;
}

static inline void store(const Mixture *m, const Activations *rows, const Panels *panels, long expert, long place,
                         long block, const Rounded *from) {
    const long first = m->starts[expert];
    if (m->starts[expert + 1] - first > FEW)
        store_panel(panels, m->groups[expert], place - first, block, from);
    else
        store_row(rows, m->rows[expert] + place - first, block, from);
}

static void round_expert(void *context, long item) {
    Mixture *m = context;
    const Experts *e = m->e;
    const long expert = m->busy[item];
    for (long place = m->starts[expert]; place < m->starts[expert + 1]; place++) {
        const float *from = e->hidden + m->slots[place] / e->active * e->hidden_size;
        for (long b = 0; b < e->hidden_size / BLOCK; b++) {
            Rounded block = m->kernels->round(from + b * BLOCK, 0);
            store(m, &m->x, &m->many_x, expert, place, b, &block);
        }
    }
}

/* out[place * stride + row] for rows of one expert and all of its places. */
static void multiply(const Mixture *m, Packed weights, long rows, const Activations *few, const Panels *many, long expert,
                     void *room, float *out, long stride) {
    const long first = m->starts[expert], count = m->starts[expert + 1] - first;
    if (count <= FEW) {
        m->kernels->few(weights, rows, few, m->numbers + m->rows[expert], (int)count, out, stride);
        return;
    }
    for (long r = 0; r < rows; r += TILE_ROWS) {
        Packed tile = {weights.blocks + r * many->blocks * BLOCK_BYTES, weights.scales + r * many->blocks};
        m->kernels->many(tile, many, m->groups[expert], count, m->wide, room, out + r, stride);
    }
}

static size_t tile_room(long blocks) { return (size_t)rounded_up(blocks * TILE_ROWS * (BLOCK + 4) + 64, 64); }

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
    multiply(m, weights, GATE_UP_ROWS, &m->x, &m->many_x, expert, room, products, GATE_UP_ROWS);
    const float *bias = e->gate_up_bias + row;
    for (long s = 0; s < count; s++) {
        Rounded made = m->kernels->gate(products + s * GATE_UP_ROWS, bias, e->alpha, e->limit);
        store(m, &m->gated, &m->many_gated, expert, first + s, block, &made);
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
    multiply(m, weights, BLOCK, &m->gated, &m->many_gated, expert, room, products, BLOCK);
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

static int make_mixture(Mixture *m) {
    const Experts *e = m->e;
    const long slots = e->tokens * e->active;
    m->starts = calloc((size_t)e->expert_count + 1, sizeof(long));
    m->rows = calloc((size_t)e->expert_count + 1, sizeof(long));
    m->groups = calloc((size_t)e->expert_count + 1, sizeof(long));
    m->busy = malloc((size_t)e->expert_count * 4);
    m->slots = malloc((size_t)slots * 8);
    m->numbers = m->slots ? m->slots + slots : NULL;
    m->products = malloc((size_t)(slots * e->hidden_size) * 4);
    if (!m->starts || !m->rows || !m->groups || !m->busy || !m->slots || !m->products || !sort_by_expert(m)) return 0;
    const long rows = m->rows[e->expert_count], groups = m->groups[e->expert_count];
    return make_rows(&m->x, rows, e->hidden_size, m->kernels->order) &&
           make_rows(&m->gated, rows, e->intermediate_size, m->kernels->order) &&
           make_panels(&m->many_x, groups, e->hidden_size) && make_panels(&m->many_gated, groups, e->intermediate_size);
}

static void release(Mixture *m) {
    void *all[] = {m->starts, m->rows, m->groups, m->busy, m->slots, m->products,
                   m->x.high, m->x.scales, m->x.surplus, m->gated.high, m->gated.scales, m->gated.surplus,
                   m->many_x.high, m->many_x.scales, m->many_gated.high, m->many_gated.scales};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* Returns 0, or 1 where memory ran out or an expert is none. */
EXPORT int gptoss_experts(const Experts *e) {
    Mixture m = {.e = e, .kernels = kernels_of(e->level), .wide = e->tokens <= WIDE_TOKENS};
    int ready = make_mixture(&m);
    if (ready) {
        spread(round_expert, &m, m.busy_count, 1, e->threads);
        spread(gate_task, &m, m.busy_count * (e->intermediate_size / BLOCK), 1, e->threads);
        if (!m.failed) spread(down_task, &m, m.busy_count * (e->hidden_size / BLOCK), 2, e->threads);
        if (!m.failed) spread(combine_task, &m, e->tokens, 8, e->threads);
    }
    release(&m);
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

typedef struct {
    const Dense *d;
    const Kernels *kernels;
    Activations rounded;
} Product;

static void dense_task(void *context, long item) {
    const Product *p = context;
    const Dense *d = p->d;
    const long row = item * DENSE_ROWS, rows = d->rows - row < DENSE_ROWS ? d->rows - row : DENSE_ROWS;
    p->kernels->dense(d->weights + row * d->k, d->scales + row * (d->k / BLOCK), rows, d->k, d->x, &p->rounded, d->count,
                      d->bias ? d->bias + row : NULL, d->out + row, d->rows);
}

static void round_task(void *context, long token) {
    Product *p = context;
    for (long b = 0; b < p->rounded.blocks; b++) {
        Rounded block = p->kernels->round(p->d->x + token * p->d->k + b * BLOCK, 1);
        store_row(&p->rounded, token, b, &block);
    }
}

/* out [count][rows] = x [count][k] times weights [rows][k], plus a bias that may be null. Returns 0, or 1 where memory
 * ran out. */
EXPORT int gptoss_dense(const Dense *d) {
    Product p = {.d = d, .kernels = kernels_of(d->level)};
    int ready = !p.kernels->rounds_dense || make_rows(&p.rounded, d->count, d->k, NATURAL);
    if (ready) {
        if (p.kernels->rounds_dense) spread(round_task, &p, d->count, 1, d->threads);
        spread(dense_task, &p, (d->rows + DENSE_ROWS - 1) / DENSE_ROWS, 1, d->threads);
    }
    free(p.rounded.high);
    free(p.rounded.scales);
    free(p.rounded.surplus);
    return !ready;
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

/* ---- whole tokens */

#include "decode.h"
