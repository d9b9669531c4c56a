/* Products of weight matrices with rounded activations. The result for a token has the same bits at every level, for
 * any number of tokens: it is a sum over blocks of 32 columns, in order, of exact integer products times the scales. */
#ifndef GPTOSS_MATRIX_H
#define GPTOSS_MATRIX_H

#include "portable_matrix.h"

/* The form of the activations that a matrix is multiplied with. */
static int find_need(const WeightMatrix *w) {
    return w->format == FORMAT_BF16 ? NEED_FLOAT : w->format == FORMAT_INT8 || w->bits == 16 ? NEED_16 : NEED_8;
}

static void free_activations(Activations *x) {
    free(x->narrow);
    free(x->wide);
    free(x->exact);
    memset(x, 0, sizeof *x);
}

static void *allocate_aligned(long bytes) { return aligned_alloc(64, (size_t)round_up(bytes + 1, 64)); }

/* Returns OK or OUT_OF_MEMORY. */
static int allocate_activations(Activations *x, long tokens, long k, int needs) {
    const long blocks = tokens * k / BLOCK;
    *x = (Activations){.tokens = tokens, .k = k};
    if (needs & NEED_8) x->narrow = allocate_aligned(blocks * (long)sizeof *x->narrow);
    if (needs & NEED_16) x->wide = allocate_aligned(blocks * (long)sizeof *x->wide);
    if (needs & NEED_FLOAT) x->exact = allocate_aligned(tokens * k * 4);
    if ((needs & NEED_8 && !x->narrow) || (needs & NEED_16 && !x->wide) || (needs & NEED_FLOAT && !x->exact)) {
        free_activations(x);
        return OUT_OF_MEMORY;
    }
    return OK;
}

/* Rounds one token's k numbers to the forms that were allocated. */
static void round_token(const Kernels *kernels, Activations *to, long token, const float *x) {
    kernels->round_token(to, token, x);
}

/* Bytes of scratch memory that multiply_rows needs; each thread has its own, aligned to 64 bytes. */
static size_t multiply_scratch_size(const WeightMatrix *w, long row_count, long count) {
    (void)w, (void)row_count, (void)count;
    return MULTIPLY_SCRATCH;
}

/* out[i * stride + r] = row first_row + r times token tokens[i], or token i if `tokens` is NULL, for row_count rows and
 * count tokens. Multiples of the level's row group are fast; rows that remain are multiplied in plain C. Of an INT8 or
 * INT4 matrix, first_row is a multiple of GROUP_ROWS. */
static void multiply_rows(const Kernels *kernels, const WeightMatrix *w, long first_row, long row_count,
                          const Activations *x, const int32_t *tokens, long count, void *scratch, float *out,
                          long stride) {
    const long group = is_grouped(w) ? GROUP_ROWS : kernels->row_group;
    const long whole = row_count / group * group;
    kernels->multiply_rows(w, first_row, whole, x, tokens, count, scratch, out, stride);
    if (whole < row_count)
        portable_multiply_rows(w, first_row + whole, row_count - whole, x, tokens, count, scratch, out + whole, stride);
}

#endif
