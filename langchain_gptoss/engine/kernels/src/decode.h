/* One token through a whole model: what decode does, without leaving C between the matrices.
 *
 * The arithmetic is that of transformers' GptOssForCausalLM: pre-norm blocks, grouped attention with sinks, sliding
 * windows, and a mixture of experts.
 */
#include "common.h"

typedef struct {
    const int8_t *weights; /* [rows][k] */
    const uint16_t *scales;
    const float *bias; /* may be null */
    int64_t rows;
} Matrix;

typedef struct {
    const float *input_norm, *post_norm;
    Matrix query, key, value, output;
    const float *sinks;                 /* [heads] */
    const float *router, *router_bias; /* [expert_count][hidden_size]; [expert_count] */
    const uint8_t *gate_up_blocks, *gate_up_scales, *down_blocks, *down_scales;
    const float *gate_up_bias, *down_bias;
    int64_t window; /* tokens that a sliding layer sees, the new one included; 0: all */
} Layer;

typedef struct {
    const Layer *layers;
    const uint16_t *embedding; /* bfloat16 [vocabulary][hidden_size] */
    const float *norm;
    Matrix head;
    int64_t layer_count, hidden_size, intermediate_size, heads, kv_heads, head_dim, expert_count, active;
    float epsilon, scaling, alpha, limit;
    int32_t threads, level;
} Model;

typedef struct {
    float *const *keys, *const *values; /* by layer: [kv_heads][capacity][head_dim] */
    const int64_t *capacities;          /* of a sliding layer its window: the oldest token is overwritten */
    int64_t position;                   /* tokens before this one */
    const float *cos, *sin;             /* [head_dim / 2] for this position */
} Past;

typedef struct {
    const Model *model;
    const Layer *layer;
    const Past *past;
    const Kernels *kernels;
    Activations rounded;
    const Matrix *matrices[3]; /* multiplied side by side with the same vector */
    float *results[3];
    int matrix_count;
    long index, seen, slot; /* of the layer: its number, how many tokens it sees, where the new one goes */
    float *hidden, *x, *query, *key, *value, *attended, *scores, *mixed;
    int64_t *chosen;
    float *shares;
} Step;

static void matrix_task(void *context, long item) {
    Step *s = context;
    for (int i = 0; i < s->matrix_count; i++) {
        const Matrix *m = s->matrices[i];
        const long items = (m->rows + DENSE_ROWS - 1) / DENSE_ROWS;
        if (item >= items) {
            item -= items;
            continue;
        }
        const long row = item * DENSE_ROWS, rows = m->rows - row < DENSE_ROWS ? m->rows - row : DENSE_ROWS;
        const long blocks = s->rounded.blocks;
        s->kernels->dense(m->weights + row * blocks * BLOCK, m->scales + row * blocks, rows, blocks * BLOCK, s->x,
                          &s->rounded, 1, m->bias ? m->bias + row : NULL, s->results[i] + row, m->rows);
        return;
    }
}

/* Multiplies `x` of length k with the step's matrices. */
static void multiply_with(Step *s, const float *x, long k) {
    long items = 0;
    for (int i = 0; i < s->matrix_count; i++) items += (s->matrices[i]->rows + DENSE_ROWS - 1) / DENSE_ROWS;
    s->x = (float *)x;
    s->rounded.blocks = k / BLOCK;
    for (long b = 0; s->kernels->rounds_dense && b < k / BLOCK; b++) {
        Rounded block = s->kernels->round(x + b * BLOCK, 1);
        store_row(&s->rounded, 0, b, &block);
    }
    spread(matrix_task, s, items, 1, s->model->threads);
}

static void multiply_one(Step *s, const Matrix *matrix, const float *x, long k, float *result) {
    s->matrices[0] = matrix;
    s->results[0] = result;
    s->matrix_count = 1;
    multiply_with(s, x, k);
}

static void rotate(float *heads, long count, long width, const float *cos, const float *sin) {
    for (long h = 0; h < count; h++)
        for (long j = 0; j < width / 2; j++) {
            float *first = heads + h * width + j, *second = first + width / 2, a = *first, b = *second;
            *first = a * cos[j] - b * sin[j];
            *second = b * cos[j] + a * sin[j];
        }
}

static void attend_task(void *context, long kv_head) {
    Step *s = context;
    const Model *m = s->model;
    const long width = m->head_dim, capacity = s->past->capacities[s->index], group = m->heads / m->kv_heads;
    float *keys = s->past->keys[s->index] + kv_head * capacity * width;
    float *values = s->past->values[s->index] + kv_head * capacity * width;
    memcpy(keys + s->slot * width, s->key + kv_head * width, (size_t)width * 4);
    memcpy(values + s->slot * width, s->value + kv_head * width, (size_t)width * 4);
    for (long h = kv_head * group; h < (kv_head + 1) * group; h++)
        s->kernels->attend(s->query + h * width, keys, values, s->seen, width, m->scaling, s->layer->sinks[h],
                           s->scores + h * capacity, s->attended + h * width);
}

/* Picks the experts with the largest logits, the first of equal ones, and their softmax. */
static void route(Step *s) {
    const Model *m = s->model;
    float logits[1024];
    for (long e = 0; e < m->expert_count; e++)
        logits[e] = s->kernels->dot(s->layer->router + e * m->hidden_size, s->x, m->hidden_size) +
                    s->layer->router_bias[e];
    float total = 0;
    for (long a = 0; a < m->active; a++) {
        long best = 0;
        for (long e = 1; e < m->expert_count; e++) best = logits[e] > logits[best] ? e : best;
        s->chosen[a] = best;
        s->shares[a] = expf(a ? logits[best] - s->shares[m->active] : 0);
        if (!a) s->shares[m->active] = logits[best];
        total += s->shares[a];
        logits[best] = -INFINITY;
    }
    for (long a = 0; a < m->active; a++) s->shares[a] /= total;
}

static int experts_of(Step *s) {
    const Model *m = s->model;
    const Layer *l = s->layer;
    const Experts call = {
        .hidden = s->x, .experts = s->chosen, .shares = s->shares, .out = s->mixed, .tokens = 1, .active = m->active,
        .gate_up_blocks = l->gate_up_blocks, .gate_up_scales = l->gate_up_scales, .gate_up_bias = l->gate_up_bias,
        .down_blocks = l->down_blocks, .down_scales = l->down_scales, .down_bias = l->down_bias,
        .expert_count = m->expert_count, .hidden_size = m->hidden_size, .intermediate_size = m->intermediate_size,
        .alpha = m->alpha, .limit = m->limit, .threads = m->threads, .level = m->level,
    };
    return gptoss_experts(&call);
}

static int layer_step(Step *s, float *normed_hidden) {
    const Model *m = s->model;
    const Layer *l = s->layer;
    const long size = m->hidden_size, position = s->past->position;
    s->kernels->norm(s->hidden, l->input_norm, m->epsilon, size, normed_hidden);
    const Matrix *matrices[3] = {&l->query, &l->key, &l->value};
    float *results[3] = {s->query, s->key, s->value};
    memcpy(s->matrices, matrices, sizeof matrices);
    memcpy(s->results, results, sizeof results);
    s->matrix_count = 3;
    multiply_with(s, normed_hidden, size);
    rotate(s->query, m->heads, m->head_dim, s->past->cos, s->past->sin);
    rotate(s->key, m->kv_heads, m->head_dim, s->past->cos, s->past->sin);
    s->slot = l->window ? position % l->window : position;
    s->seen = l->window && position + 1 > l->window ? l->window : position + 1;
    spread(attend_task, s, m->kv_heads, 1, m->threads);
    multiply_one(s, &l->output, s->attended, m->heads * m->head_dim, s->mixed);
    for (long j = 0; j < size; j++) s->hidden[j] += s->mixed[j];
    s->kernels->norm(s->hidden, l->post_norm, m->epsilon, size, normed_hidden);
    s->x = normed_hidden;
    route(s);
    if (experts_of(s)) return 1;
    for (long j = 0; j < size; j++) s->hidden[j] += s->mixed[j];
    return 0;
}

static long longest_scores(const Model *m, const Past *past) {
    long longest = 0;
    for (long i = 0; i < m->layer_count; i++) longest = past->capacities[i] > longest ? past->capacities[i] : longest;
    return longest;
}

/* Takes one token, adds its keys and values to the past, and gives the logits [vocabulary] after it. Returns 0, or 1
 * where memory ran out. */
EXPORT int gptoss_decode(const Model *m, const Past *past, int64_t token, float *logits) {
    const long attention = m->heads * m->head_dim, kv = m->kv_heads * m->head_dim;
    const long widest = attention > m->hidden_size ? attention : m->hidden_size;
    const long floats = 3 * m->hidden_size + 2 * attention + 2 * kv + m->heads * longest_scores(m, past) + m->active + 1;
    Step s = {.model = m, .past = past, .kernels = kernels_of(m->level)};
    float *room = zeroed(floats * 4);
    s.chosen = malloc((size_t)m->active * 8);
    int failed = !room || !s.chosen || !make_rows(&s.rounded, 1, rounded_up(widest, BLOCK), NATURAL);
    if (!failed) {
        float *normed_hidden = room;
        s.hidden = room + m->hidden_size;
        s.mixed = s.hidden + m->hidden_size;
        s.query = s.mixed + m->hidden_size;
        s.attended = s.query + attention;
        s.key = s.attended + attention;
        s.value = s.key + kv;
        s.shares = s.value + kv;
        s.scores = s.shares + m->active + 1;
        for (long j = 0; j < m->hidden_size; j++) s.hidden[j] = widened(m->embedding[token * m->hidden_size + j]);
        for (s.index = 0; s.index < m->layer_count && !failed; s.index++) {
            s.layer = m->layers + s.index;
            failed = layer_step(&s, normed_hidden);
        }
        s.kernels->norm(s.hidden, m->norm, m->epsilon, m->hidden_size, normed_hidden);
        if (!failed) multiply_one(&s, &m->head, normed_hidden, m->hidden_size, logits);
    }
    free(room);
    free(s.chosen);
    free(s.rounded.high);
    free(s.rounded.scales);
    free(s.rounded.surplus);
    return failed;
}
