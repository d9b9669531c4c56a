/* The product of one matrix with float32 vectors, for layers outside the forward pass and for tests. */
#ifndef GPTOSS_PRODUCT_H
#define GPTOSS_PRODUCT_H

#include "matrix.h"
#include "threads.h"

#define PRODUCT_ROWS 64 /* rows of one task */

typedef struct {
    WeightMatrix matrix;
    const float *x; /* [tokens][k] */
    float *out;     /* [tokens][rows] */
    int64_t tokens;
    int32_t threads, level;
} Product;

typedef struct {
    const Product *p;
    const Kernels *kernels;
    Activations rounded;
    char *scratch; /* one piece for each thread */
    size_t scratch_size;
} ProductStep;

static void round_token_task(void *context, long token, int thread) {
    (void)thread;
    ProductStep *s = context;
    round_token(s->kernels, &s->rounded, token, s->p->x + token * s->p->matrix.k);
}

static void multiply_rows_task(void *context, long item, int thread) {
    ProductStep *s = context;
    const WeightMatrix *w = &s->p->matrix;
    const long row = item * PRODUCT_ROWS, rows = w->rows - row < PRODUCT_ROWS ? w->rows - row : PRODUCT_ROWS;
    multiply_rows(s->kernels, w, row, rows, &s->rounded, NULL, s->p->tokens, s->scratch + s->scratch_size * thread,
                  s->p->out + row, w->rows);
}

/* Returns OK, OUT_OF_MEMORY or INVALID_SIZE. */
EXPORT int gptoss_multiply(const Product *p) {
    const WeightMatrix *w = &p->matrix;
    if (w->rows < 0 || p->tokens < 0 || p->threads < 1 || !has_blocks(w->k)) return INVALID_SIZE;
    ProductStep s = {.p = p, .kernels = select_kernels(p->level)};
    s.scratch_size = multiply_scratch_size(w, PRODUCT_ROWS, p->tokens);
    s.scratch = allocate_aligned((long)s.scratch_size * p->threads);
    int code = s.scratch ? allocate_activations(&s.rounded, p->tokens, w->k, find_need(w)) : OUT_OF_MEMORY;
    if (code == OK) {
        Team *team = create_team(p->threads);
        set_active(team, 1);
        parallel_for(team, round_token_task, &s, p->tokens, 1);
        parallel_for(team, multiply_rows_task, &s, (w->rows + PRODUCT_ROWS - 1) / PRODUCT_ROWS, 1);
        free_team(team);
    }
    free_activations(&s.rounded);
    free(s.scratch);
    return code;
}

#endif
