/* MXFP4 experts and int8 matrices on a CPU, multiplied in their packed form.
 *
 * The blocks and scales of a checkpoint are used in the layout of its file. For few tokens (decode) the packed rows are
 * multiplied directly; for many tokens (prefill) tiles of 16 rows are unpacked once for all tokens. For the experts,
 * activations are whole numbers with a scale per block of 32; for the int8 matrices they are float32, or 15-bit numbers
 * at the AVX-512 level.
 */
#include "common.h"
#include "portable.h"
#ifdef X86
#include "avx2.h"
#include "avx512.h"
#endif
#include "matrix.h"

#define EXPORT __attribute__((visibility("default")))

/* Up to this many tokens use 15-bit activations: reading and unpacking weights takes most of the time. For more tokens
 * multiplying takes most of it, and 8 bits need half as much. */
#define WIDE_TOKENS 64
#define GATE_UP_ROWS (2 * BLOCK) /* rows of gate_up that make one block of the intermediate state */

/* Sets torch's OpenMP entry point, which may be null, and returns the best level of the processor: 0 portable, 1 AVX2,
 * 2 AVX-512. */
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

static const Kernels *select_kernels(int32_t level) {
#ifdef X86
    if (level == 2) return &AVX512_KERNELS;
    if (level == 1) return &AVX2_KERNELS;
#endif
    (void)level;
    return &PORTABLE_KERNELS;
}

/* ---- activations */

static inline void store_row(const RowActivations *to, long row, long block, const QuantizedBlock *from) {
    const long even = row * to->value_stride + even_offset(block, to->layout);
    const long odd = row * to->value_stride + odd_offset(block, to->layout), entry = row * to->block_stride + block;
    memcpy(to->high + even, from->high, BLOCK_BYTES);
    memcpy(to->high + odd, from->high + BLOCK_BYTES, BLOCK_BYTES);
    memcpy(to->low + even, from->low, BLOCK_BYTES);
    memcpy(to->low + odd, from->low + BLOCK_BYTES, BLOCK_BYTES);
    to->scales[entry] = from->scale;
    to->correction[entry] = from->correction;
    to->wide_correction[entry] = from->wide_correction;
}

/* `slot` counts tokens from the first one of `panel`. */
static inline void store_panel(const PanelActivations *to, long panel, long slot, long block,
                               const QuantizedBlock *from) {
    const long entry = ((panel + slot / PANEL_TOKENS) * to->blocks + block) * PANEL_TOKENS + slot % PANEL_TOKENS;
    memcpy(to->high + entry * BLOCK, from->high, BLOCK);
    memcpy(to->low + entry * BLOCK, from->low, BLOCK);
    to->scales[entry] = from->scale;
    to->correction[entry] = from->correction;
    to->wide_correction[entry] = from->wide_correction;
}

/* Aligned, so that no vector crosses a cache line. */
static void *allocate_zeroed(long size) {
    size = round_up(size + 1, 64);
    void *memory = aligned_alloc(64, (size_t)size);
    return memory ? memset(memory, 0, (size_t)size) : NULL;
}

static int allocate_rows(RowActivations *x, long rows, long k, Layout layout) {
    x->blocks = k / BLOCK;
    x->value_stride = round_up(x->blocks, 4) * BLOCK;
    x->block_stride = round_up(x->blocks, 16);
    x->layout = layout;
    x->high = allocate_zeroed(rows * x->value_stride * 2);
    x->low = x->high ? x->high + rows * x->value_stride : NULL;
    x->scales = allocate_zeroed(rows * x->block_stride * 4);
    x->correction = allocate_zeroed(rows * x->block_stride * 8);
    x->wide_correction = x->correction ? x->correction + rows * x->block_stride : NULL;
    return x->high && x->scales && x->correction;
}

static int allocate_panels(PanelActivations *x, long panels, long k) {
    const long count = panels * (k / BLOCK) * PANEL_TOKENS;
    x->blocks = k / BLOCK;
    x->high = aligned_alloc(64, (size_t)round_up(count * BLOCK * 2 + 1, 64));
    x->low = x->high ? x->high + count * BLOCK : NULL;
    x->scales = aligned_alloc(64, (size_t)round_up(count * 12 + 1, 64));
    x->correction = x->scales ? (int32_t *)(x->scales + count) : NULL;
    x->wide_correction = x->correction ? x->correction + count : NULL;
    return x->high && x->scales;
}

/* ---- experts */

typedef struct {
    /* The arguments from Python; native.py has the same fields in the same order. */
    const float *hidden;       /* [tokens][hidden_size] */
    const int64_t *experts;    /* [tokens][active] */
    const float *weights;      /* [tokens][active] */
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
    RowActivations x, gated;                 /* for experts with few tokens */
    PanelActivations x_panels, gated_panels; /* for experts with many tokens */
    long *starts;                            /* [expert_count + 1]: first entry of each expert */
    long *rows, *panels;                     /* [expert_count + 1]: first activation row or panel of each expert */
    int32_t *slots;                          /* token * active + choice, per entry; entries are sorted by expert */
    int32_t *identity;                       /* 0, 1, 2, ... */
    int32_t *used_experts;                   /* experts that have entries */
    long used_count;
    int wide;
    float *products;                         /* [slots][hidden_size] */
    atomic_int failed;
} Mixture;

/* Returns 1 if a size is above 0 and has whole blocks. */
static int has_blocks(int64_t size) { return size > 0 && size % BLOCK == 0; }

static int has_valid_sizes(const Experts *e) {
    return e->tokens >= 0 && e->expert_count > 0 && e->active > 0 && e->active <= e->expert_count &&
        (!e->tokens || e->active <= INT32_MAX / e->tokens) && has_blocks(e->hidden_size) &&
        has_blocks(e->intermediate_size);
}

static int has_valid_experts(const Experts *e) {
    for (long s = 0; s < e->tokens * e->active; s++)
        if (e->experts[s] < 0 || e->experts[s] >= e->expert_count) return 0;
    return 1;
}

/* Sorts the slots by expert. Returns 0 if memory runs out. */
static int sort_by_expert(Mixture *m) {
    const Experts *e = m->e;
    const long slots = e->tokens * e->active;
    for (long s = 0; s < slots; s++) m->starts[e->experts[s] + 1]++;
    for (long i = 0; i < e->expert_count; i++) {
        const long count = m->starts[i + 1];
        if (count) m->used_experts[m->used_count++] = (int32_t)i;
        m->rows[i + 1] = m->rows[i] + (count > GEMV_MAX_TOKENS ? 0 : count);
        m->panels[i + 1] = m->panels[i] + (count > GEMV_MAX_TOKENS ? (count + PANEL_TOKENS - 1) / PANEL_TOKENS : 0);
        m->starts[i + 1] += m->starts[i];
    }
    long *next = malloc((size_t)e->expert_count * sizeof(long));
    if (!next) return 0;
    memcpy(next, m->starts, (size_t)e->expert_count * sizeof(long));
    for (long s = 0; s < slots; s++) m->slots[next[e->experts[s]]++] = (int32_t)s;
    for (long s = 0; s < slots; s++) m->identity[s] = (int32_t)s;
    free(next);
    return 1;
}

static inline void store_block(const Mixture *m, const RowActivations *rows, const PanelActivations *panels,
                               long expert, long entry, long block, const QuantizedBlock *from) {
    const long first = m->starts[expert];
    if (m->starts[expert + 1] - first > GEMV_MAX_TOKENS)
        store_panel(panels, m->panels[expert], entry - first, block, from);
    else
        store_row(rows, m->rows[expert] + entry - first, block, from);
}

static void quantize_expert_task(void *context, long item, int thread) {
    (void)thread;
    Mixture *m = context;
    const Experts *e = m->e;
    const long expert = m->used_experts[item];
    for (long entry = m->starts[expert]; entry < m->starts[expert + 1]; entry++) {
        const float *from = e->hidden + m->slots[entry] / e->active * e->hidden_size;
        for (long b = 0; b < e->hidden_size / BLOCK; b++) {
            QuantizedBlock block = m->kernels->quantize(from + b * BLOCK, 0);
            store_block(m, &m->x, &m->x_panels, expert, entry, b, &block);
        }
    }
}

/* Multiplies rows of one expert with all of its entries: out[entry * stride + row]. */
static void multiply_expert(const Mixture *m, PackedRows weights, long rows, const RowActivations *few,
                            const PanelActivations *many, long expert, void *scratch, float *out, long stride) {
    const long first = m->starts[expert], count = m->starts[expert + 1] - first;
    if (count <= GEMV_MAX_TOKENS) {
        m->kernels->gemv(weights, rows, few, m->identity + m->rows[expert], (int)count, scratch, out, stride);
        return;
    }
    for (long r = 0; r < rows; r += TILE_ROWS) {
        PackedRows tile = {weights.blocks + r * many->blocks * BLOCK_BYTES, weights.scales + r * many->blocks};
        m->kernels->gemm(tile, many, m->panels[expert], count, m->wide, scratch, out + r, stride);
    }
}

static size_t compute_scratch_size(long blocks) { return (size_t)round_up(blocks * TILE_ROWS * (BLOCK + 4) + 64, 64); }

/* 64 rows of gate_up, in which gate and up alternate, give 32 values: one block of `gated`. */
static void gate_up_task(void *context, long item, int thread) {
    (void)thread;
    Mixture *m = context;
    const Experts *e = m->e;
    const long per_expert = e->intermediate_size / BLOCK;
    const long expert = m->used_experts[item / per_expert], block = item % per_expert, first = m->starts[expert];
    const long count = m->starts[expert + 1] - first, row = expert * 2 * e->intermediate_size + block * GATE_UP_ROWS;
    const size_t scratch_size = compute_scratch_size(m->x.blocks);
    char *scratch = aligned_alloc(64, scratch_size + (size_t)(count * GATE_UP_ROWS * 4));
    if (!scratch) {
        m->failed = 1;
        return;
    }
    float *products = (float *)(scratch + scratch_size);
    PackedRows weights = {e->gate_up_blocks + row * m->x.blocks * BLOCK_BYTES, e->gate_up_scales + row * m->x.blocks};
    multiply_expert(m, weights, GATE_UP_ROWS, &m->x, &m->x_panels, expert, scratch, products, GATE_UP_ROWS);
    const float *bias = e->gate_up_bias + row;
    for (long s = 0; s < count; s++) {
        QuantizedBlock made = m->kernels->swiglu(products + s * GATE_UP_ROWS, bias, e->alpha, e->limit);
        store_block(m, &m->gated, &m->gated_panels, expert, first + s, block, &made);
    }
    free(scratch);
}

static void down_task(void *context, long item, int thread) {
    (void)thread;
    Mixture *m = context;
    const Experts *e = m->e;
    const long per_expert = e->hidden_size / BLOCK;
    const long expert = m->used_experts[item / per_expert], column = item % per_expert * BLOCK;
    const long first = m->starts[expert], count = m->starts[expert + 1] - first, row = expert * e->hidden_size + column;
    const size_t scratch_size = compute_scratch_size(m->gated.blocks);
    char *scratch = aligned_alloc(64, scratch_size + (size_t)(count * BLOCK * 4));
    if (!scratch) {
        m->failed = 1;
        return;
    }
    float *products = (float *)(scratch + scratch_size);
    PackedRows weights = {e->down_blocks + row * m->gated.blocks * BLOCK_BYTES, e->down_scales + row * m->gated.blocks};
    multiply_expert(m, weights, BLOCK, &m->gated, &m->gated_panels, expert, scratch, products, BLOCK);
    for (long s = 0; s < count; s++) {
        float *to = m->products + m->slots[first + s] * e->hidden_size + column;
        for (int j = 0; j < BLOCK; j++) to[j] = products[s * BLOCK + j] + e->down_bias[row + j];
    }
    free(scratch);
}

static void combine_task(void *context, long token, int thread) {
    (void)thread;
    Mixture *m = context;
    const Experts *e = m->e;
    float *out = e->out + token * e->hidden_size;
    memset(out, 0, (size_t)e->hidden_size * 4);
    for (long a = 0; a < e->active; a++) {
        const float *from = m->products + (token * e->active + a) * e->hidden_size;
        const float weight = e->weights[token * e->active + a];
        for (long j = 0; j < e->hidden_size; j++) out[j] += weight * from[j];
    }
}

static int allocate_mixture(Mixture *m) {
    const Experts *e = m->e;
    const long slots = e->tokens * e->active;
    m->starts = calloc((size_t)e->expert_count + 1, sizeof(long));
    m->rows = calloc((size_t)e->expert_count + 1, sizeof(long));
    m->panels = calloc((size_t)e->expert_count + 1, sizeof(long));
    m->used_experts = malloc((size_t)e->expert_count * 4);
    m->slots = malloc((size_t)slots * 8);
    m->identity = m->slots ? m->slots + slots : NULL;
    m->products = malloc((size_t)(slots * e->hidden_size) * 4);
    if (!m->starts || !m->rows || !m->panels || !m->used_experts || !m->slots || !m->products) return 0;
    if (!sort_by_expert(m)) return 0;
    const long rows = m->rows[e->expert_count], panels = m->panels[e->expert_count];
    return allocate_rows(&m->x, rows, e->hidden_size, m->kernels->layout) &&
           allocate_rows(&m->gated, rows, e->intermediate_size, m->kernels->layout) &&
           allocate_panels(&m->x_panels, panels, e->hidden_size) &&
           allocate_panels(&m->gated_panels, panels, e->intermediate_size);
}

static void free_mixture(Mixture *m) {
    void *all[] = {m->starts, m->rows, m->panels, m->used_experts, m->slots, m->products,
                   m->x.high, m->x.scales, m->x.correction, m->gated.high, m->gated.scales, m->gated.correction,
                   m->x_panels.high, m->x_panels.scales, m->gated_panels.high, m->gated_panels.scales};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* Returns OK, OUT_OF_MEMORY, INVALID_EXPERT or INVALID_SIZE. */
EXPORT int gptoss_experts(const Experts *e) {
    if (!has_valid_sizes(e)) return INVALID_SIZE;
    if (!has_valid_experts(e)) return INVALID_EXPERT;
    Mixture m = {.e = e, .kernels = select_kernels(e->level), .wide = e->tokens <= WIDE_TOKENS};
    int ready = allocate_mixture(&m);
    if (ready) {
        parallel_for(quantize_expert_task, &m, m.used_count, 1, e->threads);
        parallel_for(gate_up_task, &m, m.used_count * (e->intermediate_size / BLOCK), 1, e->threads);
        if (!m.failed) parallel_for(down_task, &m, m.used_count * (e->hidden_size / BLOCK), 2, e->threads);
        if (!m.failed) parallel_for(combine_task, &m, e->tokens, 8, e->threads);
    }
    free_mixture(&m);
    return ready && !m.failed ? OK : OUT_OF_MEMORY;
}

/* ---- int8 matrices */

typedef struct {
    const int8_t *weights;
    const uint16_t *scales;
    const float *x, *bias;
    float *out;
    int64_t rows, k, tokens;
    int32_t threads, level;
} Int8Product;

#define TASK_ROWS 64

typedef struct {
    const Int8Product *d;
    const Kernels *kernels;
    RowActivations rounded;
} Int8Step;

static void multiply_int8_task(void *context, long item, int thread) {
    (void)thread;
    const Int8Step *p = context;
    const Int8Product *d = p->d;
    const long row = item * TASK_ROWS, rows = d->rows - row < TASK_ROWS ? d->rows - row : TASK_ROWS;
    p->kernels->int8_gemv(d->weights + row * d->k, d->scales + row * (d->k / BLOCK), rows, d->k, d->x, &p->rounded,
                          d->tokens, d->bias ? d->bias + row : NULL, d->out + row, d->rows);
}

static void quantize_input_task(void *context, long token, int thread) {
    (void)thread;
    Int8Step *p = context;
    for (long b = 0; b < p->rounded.blocks; b++) {
        QuantizedBlock block = p->kernels->quantize(p->d->x + token * p->d->k + b * BLOCK, 1);
        store_row(&p->rounded, token, b, &block);
    }
}

static int has_valid_matrix(const Int8Product *d) { return d->rows >= 0 && d->tokens >= 0 && has_blocks(d->k); }

/* out [tokens][rows] = x [tokens][k] times weights [rows][k], plus the bias, which may be null. Returns OK,
 * OUT_OF_MEMORY or INVALID_SIZE. */
EXPORT int gptoss_multiply_int8(const Int8Product *d) {
    if (!has_valid_matrix(d)) return INVALID_SIZE;
    Int8Step p = {.d = d, .kernels = select_kernels(d->level)};
    int ready = !p.kernels->quantizes_int8_input || allocate_rows(&p.rounded, d->tokens, d->k, NATURAL);
    if (ready) {
        if (p.kernels->quantizes_int8_input) parallel_for(quantize_input_task, &p, d->tokens, 1, d->threads);
        parallel_for(multiply_int8_task, &p, (d->rows + TASK_ROWS - 1) / TASK_ROWS, 1, d->threads);
    }
    free(p.rounded.high);
    free(p.rounded.scales);
    free(p.rounded.correction);
    return ready ? OK : OUT_OF_MEMORY;
}

static void dequantize_task(void *context, long item, int thread) {
    (void)thread;
    const Int8Product *d = context;
    const long row = item * TASK_ROWS, rows = d->rows - row < TASK_ROWS ? d->rows - row : TASK_ROWS;
    const long blocks = d->k / BLOCK;
    select_kernels(d->level)->dequantize(d->weights + row * d->k, d->scales + row * blocks, rows * blocks,
                                         d->out + row * d->k);
}

/* out [rows][k] = the weights as float32, for products with many tokens. Returns OK or INVALID_SIZE. */
EXPORT int gptoss_dequantize_int8(const Int8Product *d) {
    if (!has_valid_matrix(d)) return INVALID_SIZE;
    parallel_for(dequantize_task, (void *)d, (d->rows + TASK_ROWS - 1) / TASK_ROWS, 1, d->threads);
    return OK;
}

typedef struct {
    const void *source;
    int8_t *weights;
    uint16_t *scales;
    int64_t rows, k;
    int32_t is_bfloat16, threads; /* the source is bfloat16 if is_bfloat16, else float32 */
} Quantization;

static void quantize_task(void *context, long row, int thread) {
    (void)thread;
    const Quantization *n = context;
    for (long b = 0; b < n->k / BLOCK; b++) {
        const long entry = row * n->k + b * BLOCK;
        float block[BLOCK];
        for (int j = 0; j < BLOCK; j++)
            block[j] = n->is_bfloat16 ? bfloat16_to_float(((const uint16_t *)n->source)[entry + j])
                                   : ((const float *)n->source)[entry + j];
        const float scale = find_largest_magnitude(block) / 127;
        uint32_t bits;
        memcpy(&bits, &scale, 4);
        uint16_t kept = (uint16_t)((bits + 0xffff) >> 16); /* rounded up, so that the largest number stays in range */
        if (scale < 1e-35f) kept = 0;
        n->scales[row * (n->k / BLOCK) + b] = kept;
        if (kept && scale <= 3e38f)
            round_to_int8(block, 1 / bfloat16_to_float(kept), n->weights + entry);
        else
            memset(n->weights + entry, 0, BLOCK);
    }
}

/* weights [rows][k] and scales [rows][k / 32] = the source, rounded to int8. Returns OK or INVALID_SIZE. */
EXPORT int gptoss_quantize_int8(const Quantization *n) {
    if (n->rows < 0 || !has_blocks(n->k)) return INVALID_SIZE;
    parallel_for(quantize_task, (void *)n, n->rows, 16, n->threads);
    return OK;
}

/* ---- one token */

#include "decode.h"

/* ---- batches of tokens */

#include "forward.h"
#include "product.h"
