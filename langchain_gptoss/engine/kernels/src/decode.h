/* Runs one token through a whole model in C.
 *
 * The arithmetic is that of transformers' GptOssForCausalLM: pre-norm blocks, grouped-query attention with sinks,
 * sliding windows, and a mixture of experts.
 */
#include "common.h"

#define MAX_EXPERTS 1024 /* runners/native_decode.py has the same limit */

typedef struct {
    const int8_t *weights; /* [rows][k] */
    const uint16_t *scales;
    const float *bias; /* or null */
    int64_t rows, k;
} Matrix;

typedef struct {
    const float *input_norm, *post_norm;
    Matrix query, key, value, output;
    const float *sinks;                 /* [heads] */
    const float *router, *router_bias; /* [expert_count][hidden_size]; [expert_count] */
    const uint8_t *gate_up_blocks, *gate_up_scales, *down_blocks, *down_scales;
    const float *gate_up_bias, *down_bias;
    int64_t window; /* tokens that a sliding layer attends to, the new one included; 0: all tokens */
} Layer;

typedef struct {
    const Layer *layers;
    const uint16_t *embedding; /* bfloat16 [vocabulary][hidden_size] */
    const float *norm;
    Matrix head;
    int64_t layer_count, hidden_size, intermediate_size, heads, kv_heads, head_dim, expert_count, active, vocabulary;
    float epsilon, scaling, alpha, limit;
    int32_t threads, level;
} Model;

typedef struct {
    float *const *keys, *const *values; /* per layer: [kv_heads][capacity][head_dim] */
    const int64_t *capacities;          /* per layer; a sliding layer has its window and overwrites the oldest token */
    int64_t position;                   /* number of tokens before this one */
    const float *cos, *sin;             /* [rotation_size] for this position */
    int64_t rotation_size, logit_count; /* what the tables and the result have space for */
} KVCache;

typedef struct {
    const Model *model;
    const Layer *layer;
    const KVCache *cache;
    const Kernels *kernels;
    RowActivations rounded;
    const Matrix *matrices[3]; /* multiplied with the same vector in one parallel loop */
    float *results[3];
    int matrix_count;
    long layer_number, visible, slot; /* of the current layer: number, visible tokens, slot of the new token */
    float *hidden, *x, *query, *key, *value, *attended, *scores, *mixed;
    int64_t *chosen_experts;
    float *expert_weights;
} TokenStep;

static void matrix_task(void *context, long item, int thread) {
    (void)thread;
    TokenStep *s = context;
    for (int i = 0; i < s->matrix_count; i++) {
        const Matrix *m = s->matrices[i];
        const long items = (m->rows + TASK_ROWS - 1) / TASK_ROWS;
        if (item >= items) {
            item -= items;
            continue;
        }
        const long row = item * TASK_ROWS, rows = m->rows - row < TASK_ROWS ? m->rows - row : TASK_ROWS;
        const long blocks = s->rounded.blocks;
        s->kernels->int8_gemv(m->weights + row * blocks * BLOCK, m->scales + row * blocks, rows, blocks * BLOCK, s->x,
                          &s->rounded, 1, m->bias ? m->bias + row : NULL, s->results[i] + row, m->rows);
        return;
    }
}

/* Multiplies `x` of length k with the step's matrices. */
static void multiply_matrices(TokenStep *s, const float *x, long k) {
    long items = 0;
    for (int i = 0; i < s->matrix_count; i++) items += (s->matrices[i]->rows + TASK_ROWS - 1) / TASK_ROWS;
    s->x = (float *)x;
    s->rounded.blocks = k / BLOCK;
    for (long b = 0; s->kernels->quantizes_int8_input && b < k / BLOCK; b++) {
        QuantizedBlock block = s->kernels->quantize(x + b * BLOCK, 1);
        store_row(&s->rounded, 0, b, &block);
    }
    parallel_for(matrix_task, s, items, 1, s->model->threads);
}

static void multiply_matrix(TokenStep *s, const Matrix *matrix, const float *x, long k, float *result) {
    s->matrices[0] = matrix;
    s->results[0] = result;
    s->matrix_count = 1;
    multiply_matrices(s, x, k);
}

static void rotate(float *heads, long count, long width, const float *cos, const float *sin) {
    for (long h = 0; h < count; h++)
        for (long j = 0; j < width / 2; j++) {
            float *first = heads + h * width + j, *second = first + width / 2, a = *first, b = *second;
            *first = a * cos[j] - b * sin[j];
            *second = b * cos[j] + a * sin[j];
        }
}

static void attend_task(void *context, long kv_head, int thread) {
    (void)thread;
    TokenStep *s = context;
    const Model *m = s->model;
    const long width = m->head_dim, capacity = s->cache->capacities[s->layer_number];
    const long heads_per_kv = m->heads / m->kv_heads;
    float *keys = s->cache->keys[s->layer_number] + kv_head * capacity * width;
    float *values = s->cache->values[s->layer_number] + kv_head * capacity * width;
    memcpy(keys + s->slot * width, s->key + kv_head * width, (size_t)width * 4);
    memcpy(values + s->slot * width, s->value + kv_head * width, (size_t)width * 4);
    for (long h = kv_head * heads_per_kv; h < (kv_head + 1) * heads_per_kv; h++)
        s->kernels->attend(s->query + h * width, keys, values, s->visible, width, m->scaling, s->layer->sinks[h],
                           s->scores + h * capacity, s->attended + h * width);
}

/* Chooses the experts with the largest logits, the first of equal ones, and computes their softmax. */
static void route(TokenStep *s) {
    const Model *m = s->model;
    float logits[MAX_EXPERTS];
    for (long e = 0; e < m->expert_count; e++)
        logits[e] = s->kernels->dot(s->layer->router + e * m->hidden_size, s->x, m->hidden_size) +
                    s->layer->router_bias[e];
    float total = 0;
    for (long a = 0; a < m->active; a++) {
        long best = 0;
        for (long e = 1; e < m->expert_count; e++) best = logits[e] > logits[best] ? e : best;
        s->chosen_experts[a] = best;
        s->expert_weights[a] = expf(a ? logits[best] - s->expert_weights[m->active] : 0);
        if (!a) s->expert_weights[m->active] = logits[best];
        total += s->expert_weights[a];
        logits[best] = -INFINITY;
    }
    for (long a = 0; a < m->active; a++) s->expert_weights[a] /= total;
}

static int apply_experts(TokenStep *s) {
    const Model *m = s->model;
    const Layer *l = s->layer;
    const Experts call = {
        .hidden = s->x, .experts = s->chosen_experts, .weights = s->expert_weights, .out = s->mixed,
        .gate_up_blocks = l->gate_up_blocks, .gate_up_scales = l->gate_up_scales, .gate_up_bias = l->gate_up_bias,
        .down_blocks = l->down_blocks, .down_scales = l->down_scales, .down_bias = l->down_bias,
        .tokens = 1, .active = m->active, .expert_count = m->expert_count, .hidden_size = m->hidden_size,
        .intermediate_size = m->intermediate_size, .alpha = m->alpha, .limit = m->limit, .threads = m->threads,
        .level = m->level,
    };
    return gptoss_experts(&call);
}

static int run_layer(TokenStep *s, float *normed) {
    const Model *m = s->model;
    const Layer *l = s->layer;
    const long size = m->hidden_size, position = s->cache->position;
    s->kernels->rms_norm(s->hidden, l->input_norm, m->epsilon, size, normed);
    const Matrix *matrices[3] = {&l->query, &l->key, &l->value};
    float *results[3] = {s->query, s->key, s->value};
    memcpy(s->matrices, matrices, sizeof matrices);
    memcpy(s->results, results, sizeof results);
    s->matrix_count = 3;
    multiply_matrices(s, normed, size);
    rotate(s->query, m->heads, m->head_dim, s->cache->cos, s->cache->sin);
    rotate(s->key, m->kv_heads, m->head_dim, s->cache->cos, s->cache->sin);
    s->slot = l->window ? position % l->window : position;
    s->visible = l->window && position + 1 > l->window ? l->window : position + 1;
    parallel_for(attend_task, s, m->kv_heads, 1, m->threads);
    multiply_matrix(s, &l->output, s->attended, m->heads * m->head_dim, s->mixed);
    for (long j = 0; j < size; j++) s->hidden[j] += s->mixed[j];
    s->kernels->rms_norm(s->hidden, l->post_norm, m->epsilon, size, normed);
    s->x = normed;
    route(s);
    if (apply_experts(s)) return 1;
    for (long j = 0; j < size; j++) s->hidden[j] += s->mixed[j];
    return 0;
}

static long find_longest_cache(const Model *m, const KVCache *cache) {
    long longest = 0;
    for (long i = 0; i < m->layer_count; i++) longest = cache->capacities[i] > longest ? cache->capacities[i] : longest;
    return longest;
}

static int has_shape(const Matrix *matrix, int64_t rows, int64_t k) {
    return matrix->rows == rows && matrix->k == k && has_blocks(k);
}

/* Returns 1 if all that is read and written lies within what the arguments say that they have. */
static int fits_together(const Model *m, const KVCache *cache, int64_t token) {
    if (m->layer_count <= 0 || m->heads <= 0 || m->kv_heads <= 0 || m->heads % m->kv_heads || m->head_dim <= 0 ||
        m->head_dim % 16 || !has_blocks(m->hidden_size) || !has_blocks(m->intermediate_size) || m->active <= 0 ||
        m->active > m->expert_count || m->expert_count > MAX_EXPERTS)
        return 0;
    if (token < 0 || token >= m->vocabulary || cache->position < 0 || cache->rotation_size != m->head_dim / 2 ||
        m->head.rows != cache->logit_count || !has_shape(&m->head, m->head.rows, m->hidden_size))
        return 0;
    const int64_t attention = m->heads * m->head_dim, kv = m->kv_heads * m->head_dim;
    for (int64_t i = 0; i < m->layer_count; i++) {
        const Layer *l = m->layers + i;
        if (!has_shape(&l->query, attention, m->hidden_size) || !has_shape(&l->key, kv, m->hidden_size) ||
            !has_shape(&l->value, kv, m->hidden_size) || !has_shape(&l->output, m->hidden_size, attention))
            return 0;
        if (l->window < 0 || (l->window ? cache->capacities[i] < l->window : cache->capacities[i] <= cache->position))
            return 0;
    }
    return 1;
}

/* Runs one token, appends its keys and values to the cache, and writes the logits [vocabulary]. Returns OK,
 * OUT_OF_MEMORY or INVALID_SIZE. */
EXPORT int gptoss_decode(const Model *m, const KVCache *cache, int64_t token, float *logits) {
    if (!fits_together(m, cache, token)) return INVALID_SIZE;
    const long attention = m->heads * m->head_dim, kv = m->kv_heads * m->head_dim;
    const long widest = attention > m->hidden_size ? attention : m->hidden_size;
    const long floats = 3 * m->hidden_size + 2 * attention + 2 * kv + m->heads * find_longest_cache(m, cache) +
        m->active + 1;
    TokenStep s = {.model = m, .cache = cache, .kernels = select_kernels(m->level)};
    float *scratch = allocate_zeroed(floats * 4);
    s.chosen_experts = malloc((size_t)m->active * 8);
    int failed = !scratch || !s.chosen_experts || !allocate_rows(&s.rounded, 1, round_up(widest, BLOCK), NATURAL);
    if (!failed) {
        float *normed = scratch;
        s.hidden = scratch + m->hidden_size;
        s.mixed = s.hidden + m->hidden_size;
        s.query = s.mixed + m->hidden_size;
        s.attended = s.query + attention;
        s.key = s.attended + attention;
        s.value = s.key + kv;
        s.expert_weights = s.value + kv;
        s.scores = s.expert_weights + m->active + 1;
        const uint16_t *embedding = m->embedding + token * m->hidden_size;
        for (long j = 0; j < m->hidden_size; j++) s.hidden[j] = bfloat16_to_float(embedding[j]);
        for (s.layer_number = 0; s.layer_number < m->layer_count && !failed; s.layer_number++) {
            s.layer = m->layers + s.layer_number;
            failed = run_layer(&s, normed);
        }
        s.kernels->rms_norm(s.hidden, m->norm, m->epsilon, m->hidden_size, normed);
        if (!failed) multiply_matrix(&s, &m->head, normed, m->hidden_size, logits);
    }
    free(scratch);
    free(s.chosen_experts);
    free(s.rounded.high);
    free(s.rounded.scales);
    free(s.rounded.correction);
    return failed ? OUT_OF_MEMORY : OK;
}
