/* Products of weight matrices with rounded activations. The result for a token has the same bits at every level, for
 * any number of tokens: it is a sum over blocks of 32 columns, in order, of exact integer products times the scales. */
#ifndef GPTOSS_MATRIX_H
#define GPTOSS_MATRIX_H

#include "portable_matrix.h"

static void free_activations(Activations *x) {
    void *all[] = {x->narrow, x->wide, x->exact, x->narrow_scales, x->wide_scales, x->corrections};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    memset(x, 0, sizeof *x);
}

static void *allocate_aligned(long bytes) { return aligned_alloc(64, (size_t)round_up(bytes + 1, 64)); }

/* Returns OK or OUT_OF_MEMORY. */
static int allocate_activations(Activations *x, long tokens, long k, int needs) {
    const long count = tokens * k, blocks = count / BLOCK;
    *x = (Activations){.tokens = tokens, .k = k};
    int ready = 1;
    if (needs & NEED_8) {
        x->narrow = allocate_aligned(count);
        x->narrow_scales = allocate_aligned(blocks * 4);
        x->corrections = allocate_aligned(blocks * 4);
        ready = x->narrow && x->narrow_scales && x->corrections;
    }
    if (needs & NEED_16) {
        x->wide = allocate_aligned(count * 2);
        x->wide_scales = allocate_aligned(blocks * 4);
        ready = ready && x->wide && x->wide_scales;
    }
    if (needs & NEED_FLOAT) ready = (x->exact = allocate_aligned(count * 4)) && ready;
    if (!ready) free_activations(x);
    return ready ? OK : OUT_OF_MEMORY;
}

/* Rounds one token's k numbers to the forms that were allocated. */
static void round_token(const Kernels *kernels, Activations *to, long token, const float *x) {
    kernels->round_token(to, token, x);
}

/* Bytes of scratch memory that multiply_rows needs, one piece for each thread, aligned to 64 bytes. */
static size_t multiply_scratch_size(const WeightMatrix *w, long row_count, long count) {
    (void)row_count, (void)count;
    return (size_t)round_up(w->k / BLOCK * TILE_ROWS * (BLOCK + 4) + 64, 64);
}

/* out[i * stride + r] = row first_row + r times token tokens[i], or token i if `tokens` is NULL. It is fast for
 * multiples of TILE_ROWS rows; the rows that remain are multiplied in plain C. */
static void multiply_rows(const Kernels *kernels, const WeightMatrix *w, long first_row, long row_count,
                          const Activations *x, const int32_t *tokens, long count, void *scratch, float *out,
                          long stride) {
    const long group = kernels->row_group;
    long r = 0;
    for (; r + group <= row_count; r += group)
        kernels->multiply_group(w, first_row + r, x, tokens, count, scratch, out + r, stride);
    for (; r < row_count; r++)
        portable_multiply_group(w, first_row + r, x, tokens, count, scratch, out + r, stride);
}

#endif
