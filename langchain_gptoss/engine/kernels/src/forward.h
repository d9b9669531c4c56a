/* The forward pass of a whole gpt_oss model for a batch of tokens of many sequences, over a paged KV cache.
 *
 * The arithmetic is that of transformers' GptOssForCausalLM: pre-norm blocks, grouped-query attention with sinks,
 * sliding windows, and a mixture of experts. Each token's numbers are computed in an order that does not depend on the
 * batch, so they have the same bits alone, in a batch, and for any chunks of the prompt.
 *
 * Sizes are multiples of 32, head_dim of 16; runners/native_weights.py pads the weights of other models with zeros.
 */
#ifndef GPTOSS_FORWARD_H
#define GPTOSS_FORWARD_H

#include "workspace.h"

/* ---- steps of a layer: each is a task for the threads */

/* Rounds `count` numbers of a token from column `first` on, both multiples of 32, to the forms of `needs`. */
static void round_columns(const Workspace *w, const Activations *to, int needs, long token, long first, long count,
                          const float *x) {
    const long entry = token * to->k + first;
    Activations part = {.tokens = 1, .k = count};
    if (needs & NEED_8) part.narrow = to->narrow + entry / BLOCK;
    if (needs & NEED_16) part.wide = to->wide + entry / BLOCK;
    if (needs & NEED_FLOAT) part.exact = to->exact + entry;
    round_token(w->kernels, &part, 0, x);
}

static void load_embedding(const Workspace *w, long token) {
    const ModelWeights *m = w->model;
    float *hidden = w->hidden + token * m->hidden_size;
    const long start = w->batch->token_ids[token] * m->unpadded_size;
    memset(hidden + m->unpadded_size, 0, (size_t)(m->hidden_size - m->unpadded_size) * 4);
    if (!m->has_bfloat16_embedding)
        memcpy(hidden, (const float *)m->embedding + start, (size_t)m->unpadded_size * 4);
    else
        for (long j = 0; j < m->unpadded_size; j++)
            hidden[j] = bfloat16_to_float(((const uint16_t *)m->embedding)[start + j]);
}

/* Adds the results of a token's experts in the order of its own choices. */
static void add_expert_products(const Workspace *w, long token) {
    const ModelWeights *m = w->model;
    const long size = m->hidden_size;
    const float *products = w->expert_products + token * m->active * size;
    const float *weights = w->expert_weights + token * m->active;
    float *hidden = w->hidden + token * size;
    for (long j = 0; j < size; j += 16) {
        float sums[16] = {0};
        for (long a = 0; a < m->active; a++)
            for (long i = 0; i < 16; i++) sums[i] += weights[a] * products[a * size + j + i];
        for (long i = 0; i < 16; i++) hidden[j + i] += sums[i];
    }
}

static void normalize_token(const Workspace *w, long token, const float *weight, const Activations *to, int needs,
                            float *row) {
    const ModelWeights *m = w->model;
    w->functions->rms_norm(w->hidden + token * m->hidden_size, weight, m->epsilon, m->unpadded_size, m->hidden_size,
                           row);
    round_columns(w, to, needs, token, 0, m->hidden_size, row);
}

static void prepare_attention_task(void *context, long token, int thread) {
    Workspace *w = context;
    if (w->layer_index == 0) load_embedding(w, token);
    if (w->has_expert_products) add_expert_products(w, token);
    normalize_token(w, token, w->layer->input_norm, &w->attention_input, needs_of_attention(w->layer),
                    w->scratch[thread].row);
}

static void prepare_head_task(void *context, long token, int thread) {
    Workspace *w = context;
    add_expert_products(w, token);
    normalize_token(w, token, w->model->norm, &w->head_input, needs_of(&w->model->head), w->scratch[thread].row);
}

/* Chooses the experts with the largest logits, the first of equal ones, and computes their softmax. */
static void choose_experts(const Workspace *w, long token, const float *x) {
    const ModelWeights *m = w->model;
    float logits[LARGEST_EXPERT_COUNT], largest = 0, total = 0;
    int32_t *chosen = w->chosen_experts + token * m->active;
    float *weights = w->expert_weights + token * m->active;
    for (long e = 0; e < m->expert_count; e++)
        logits[e] = w->functions->dot_product(w->layer->router + e * m->hidden_size, x, m->hidden_size) +
                    w->layer->router_bias[e];
    for (long a = 0; a < m->active; a++) {
        long best = 0;
        for (long e = 1; e < m->expert_count; e++) best = logits[e] > logits[best] ? e : best;
        if (a == 0) largest = logits[best];
        chosen[a] = (int32_t)best;
        weights[a] = fast_exp(logits[best] - largest);
        total += weights[a];
        logits[best] = -INFINITY;
    }
    for (long a = 0; a < m->active; a++) weights[a] /= total;
}

static void prepare_experts_task(void *context, long token, int thread) {
    Workspace *w = context;
    float *row = w->scratch[thread].row;
    normalize_token(w, token, w->layer->post_norm, &w->expert_input, needs_of(&w->layer->gate_up), row);
    choose_experts(w, token, row);
}

static void rotate_head(const PagedCache *cache, long position, long width, float *head) {
    const float *cos = cache->cos + position * (width / 2), *sin = cache->sin + position * (width / 2);
    for (long j = 0; j < width / 2; j++) {
        const float a = head[j], b = head[j + width / 2];
        head[j] = a * cos[j] - b * sin[j];
        head[j + width / 2] = b * cos[j] + a * sin[j];
    }
}

/* Puts a key or value of one head into the cache. */
static void store_head(const Workspace *w, long token, long kv_head, int is_key, const float *head) {
    const long width = w->model->head_dim, position = w->positions[token], slot = position % KEY_BLOCK;
    uint16_t *block = (is_key ? w->keys : w->values) + w->tables[token][position / KEY_BLOCK] * w->block_stride +
        kv_head * KEY_BLOCK * width;
    if (!is_key) {
        w->functions->store_halves(head, block + slot * width, width);
        return;
    }
    uint16_t halves[16];
    for (long j = 0; j < width; j += 16) {
        w->functions->store_halves(head + j, halves, 16);
        for (long i = 0; i < 16; i++) block[(j + i) * KEY_BLOCK + slot] = halves[i];
    }
}

static long count_token_chunks(const Workspace *w) { return (w->tokens + TOKEN_CHUNK - 1) / TOKEN_CHUNK; }

/* One query, key or value head for a chunk of tokens. */
static void project_head_task(void *context, long item, int thread) {
    Workspace *w = context;
    const ModelWeights *m = w->model;
    const LayerWeights *l = w->layer;
    const long width = m->head_dim, chunks = count_token_chunks(w), first = item % chunks * TOKEN_CHUNK;
    const long count = w->tokens - first < TOKEN_CHUNK ? w->tokens - first : TOKEN_CHUNK;
    long head = item / chunks;
    const int kind = head < m->heads ? 0 : head < m->heads + m->kv_heads ? 1 : 2;
    head -= kind == 0 ? 0 : kind == 1 ? m->heads : m->heads + m->kv_heads;
    const Linear *linear = kind == 0 ? &l->query : kind == 1 ? &l->key : &l->value;
    float *products = w->scratch[thread].products;
    multiply_rows(w->kernels, &linear->matrix, head * width, width, &w->attention_input, w->identity + first, count,
                  w->scratch[thread].multiply, products, width);
    for (long i = 0; i < count; i++) {
        const long token = first + i;
        float *result = products + i * width;
        for (long j = 0; linear->bias && j < width; j++) result[j] += linear->bias[head * width + j];
        if (kind != 2) rotate_head(w->cache, w->positions[token], width, result);
        if (kind == 0)
            memcpy(w->query + (token * m->heads + head) * width, result, (size_t)width * 4);
        else
            store_head(w, token, head, kind == 1, result);
    }
}

/* The query heads that share a kv head, for one tile of tokens. */
static AttentionTile describe_attention(const Workspace *w, const TokenTile *tile, long kv_head, int thread) {
    const ModelWeights *m = w->model;
    const long heads = m->heads / m->kv_heads, width = m->head_dim;
    return (AttentionTile){
        .query = w->query + (tile->first * m->heads + kv_head * heads) * width,
        .keys = w->keys + kv_head * KEY_BLOCK * width,
        .values = w->values + kv_head * KEY_BLOCK * width,
        .table = tile->table,
        .sinks = w->layer->sinks + kv_head * heads,
        .scratch = w->scratch[thread].attention,
        .query_stride = m->heads * width,
        .block_stride = w->block_stride,
        .tokens = tile->count,
        .heads = heads,
        .width = width,
        .position = tile->position,
        .window = w->layer->window,
        .scaling = m->scaling,
    };
}

static long count_tile_rows(const Workspace *w, const TokenTile *tile) {
    return tile->count * (w->model->heads / w->model->kv_heads);
}

/* The softmax before all keys. A sink takes a share of it and has no value. */
static AttentionPart start_softmax(const Workspace *w, const TokenTile *tile, long kv_head, int thread) {
    const long rows = count_tile_rows(w, tile), heads = w->model->heads / w->model->kv_heads;
    const AttentionPart all = place_part(w->scratch[thread].softmax, rows, w->model->head_dim);
    memset(all.sums, 0, (size_t)(rows * w->model->head_dim) * 4);
    for (long i = 0; i < rows; i++) {
        all.largest[i] = w->layer->sinks[kv_head * heads + i % heads];
        all.total[i] = 1;
    }
    return all;
}

/* Rounds the attended values of a tile for the output matrix. */
static void store_attended(const Workspace *w, const TokenTile *tile, long kv_head, const AttentionPart *all,
                           int thread) {
    const long heads = w->model->heads / w->model->kv_heads, width = w->model->head_dim;
    float *out = w->scratch[thread].attended;
    memset(out, 0, (size_t)w->group_width * 4);
    for (long t = 0; t < tile->count; t++) {
        for (long h = 0; h < heads; h++) {
            const long row = t * heads + h;
            for (long d = 0; d < width; d++) out[h * width + d] = all->sums[row * width + d] / all->total[row];
        }
        round_columns(w, &w->attended, needs_of(&w->layer->output), tile->first + t, kv_head * w->group_width,
                      w->group_width, out);
    }
}

/* Attention of one tile and kv head. */
static void attend_tile_task(void *context, long item, int thread) {
    Workspace *w = context;
    const long kv_head = item % w->model->kv_heads;
    const TokenTile *tile = w->tiles + item / w->model->kv_heads;
    const AttentionTile call = describe_attention(w, tile, kv_head, thread);
    const long rows = count_tile_rows(w, tile);
    const AttentionPart all = start_softmax(w, tile, kv_head, thread);
    const AttentionPart part = place_part(w->scratch[thread].part, rows, call.width);
    w->functions->pack_queries(&call);
    for (long r = 0; r < tile->range_count; r++) {
        w->functions->attend(&call, tile->first_range + r, &part);
        w->functions->merge_part(&part, rows, call.width, &all);
    }
    store_attended(w, tile, kv_head, &all, thread);
}

/* The softmax of one range of a tile and kv head, in the memory that the tasks share. */
static AttentionPart find_range_part(const Workspace *w, const TokenTile *tile, long kv_head, long range) {
    const long rows = count_tile_rows(w, tile), width = w->model->head_dim;
    const long index = kv_head * tile->range_count + range;
    return place_part(w->range_parts + tile->first_part + index * count_part_numbers(rows, width), rows, width);
}

/* Attention of one range of a tile and kv head. */
static void attend_range_task(void *context, long item, int thread) {
    Workspace *w = context;
    const TokenTile *tile = w->tiles;
    while (item >= tile->range_count * w->model->kv_heads) item -= tile++->range_count * w->model->kv_heads;
    const long kv_head = item / tile->range_count, range = item % tile->range_count;
    const AttentionTile call = describe_attention(w, tile, kv_head, thread);
    const AttentionPart part = find_range_part(w, tile, kv_head, range);
    w->functions->pack_queries(&call);
    w->functions->attend(&call, tile->first_range + range, &part);
}

static void merge_ranges_task(void *context, long item, int thread) {
    Workspace *w = context;
    const long kv_head = item % w->model->kv_heads;
    const TokenTile *tile = w->tiles + item / w->model->kv_heads;
    const AttentionPart all = start_softmax(w, tile, kv_head, thread);
    for (long r = 0; r < tile->range_count; r++) {
        const AttentionPart part = find_range_part(w, tile, kv_head, r);
        w->functions->merge_part(&part, count_tile_rows(w, tile), w->model->head_dim, &all);
    }
    store_attended(w, tile, kv_head, &all, thread);
}

/* Finds the ranges that each tile sees in this layer, and returns their number for all kv heads; 0 if the softmaxes of
 * all of them do not fit into the shared memory. */
static long plan_ranges(Workspace *w) {
    const ModelWeights *m = w->model;
    long items = 0, numbers = 0;
    for (TokenTile *tile = w->tiles; tile < w->tiles + w->tile_count; tile++) {
        const long window = w->layer->window, last = tile->position + tile->count - 1;
        const long oldest = window && tile->position >= window ? tile->position + 1 - window : 0;
        tile->first_range = (int32_t)(oldest / RANGE);
        tile->range_count = (int32_t)(last / RANGE - tile->first_range + 1);
        tile->first_part = numbers;
        items += tile->range_count * m->kv_heads;
        numbers += tile->range_count * m->kv_heads * count_part_numbers(count_tile_rows(w, tile), m->head_dim);
    }
    return numbers <= RANGE_PART_NUMBERS ? items : 0;
}

/* Threads share tiles, or the ranges of few tiles. The results are the same. */
static void attend_tiles(Workspace *w) {
    const long tasks = w->tile_count * w->model->kv_heads, items = plan_ranges(w);
    if (tasks >= TASKS_PER_THREAD * w->thread_capacity || items <= tasks) {
        parallel_for(w->team, attend_tile_task, w, tasks, 1);
        return;
    }
    parallel_for(w->team, attend_range_task, w, items, 1);
    parallel_for(w->team, merge_ranges_task, w, tasks, 1);
}

/* Some columns of the output matrix for a chunk of tokens, added to `hidden`. */
static void project_output_task(void *context, long item, int thread) {
    Workspace *w = context;
    const ModelWeights *m = w->model;
    const Linear *linear = &w->layer->output;
    const long chunks = count_token_chunks(w), first = item % chunks * TOKEN_CHUNK;
    const long count = w->tokens - first < TOKEN_CHUNK ? w->tokens - first : TOKEN_CHUNK;
    const long row = item / chunks * TASK_COLUMNS;
    const long rows = m->hidden_size - row < TASK_COLUMNS ? m->hidden_size - row : TASK_COLUMNS;
    float *products = w->scratch[thread].products;
    multiply_rows(w->kernels, &linear->matrix, row, rows, &w->attended, w->identity + first, count,
                  w->scratch[thread].multiply, products, TASK_COLUMNS);
    for (long i = 0; i < count; i++) {
        float *hidden = w->hidden + (first + i) * m->hidden_size + row;
        for (long j = 0; j < rows; j++)
            hidden[j] += products[i * TASK_COLUMNS + j] + (linear->bias ? linear->bias[row + j] : 0);
    }
}

/* Sorts the slots by expert; within an expert they stay in order. */
static void sort_slots(Workspace *w) {
    const ModelWeights *m = w->model;
    const long slots = w->tokens * m->active;
    int32_t *starts = w->expert_starts; /* starts[e + 1] is the next place of expert e while the slots are placed */
    memset(starts, 0, ((size_t)m->expert_count + 2) * 4);
    for (long s = 0; s < slots; s++) starts[w->chosen_experts[s] + 2]++;
    w->used_count = 0;
    for (long e = 0; e < m->expert_count; e++) {
        if (starts[e + 2]) w->used_experts[w->used_count++] = (int32_t)e;
        starts[e + 2] += starts[e + 1];
    }
    for (long s = 0; s < slots; s++) {
        const int32_t place = starts[w->chosen_experts[s] + 1]++;
        w->slots[place] = (int32_t)s;
        w->slot_tokens[place] = (int32_t)(s / m->active);
    }
}

/* TASK_COLUMNS rows of gate_up, in which gate and up alternate, give one block of the intermediate state. */
static void gate_up_columns_task(void *context, long item, int thread) {
    Workspace *w = context;
    const ModelWeights *m = w->model;
    const Linear *linear = &w->layer->gate_up;
    const long per_expert = m->intermediate_size / BLOCK, block = item % per_expert;
    const long expert = w->used_experts[item / per_expert];
    const long row = expert * 2 * m->intermediate_size + block * 2 * BLOCK;
    float *products = w->scratch[thread].products, results[BLOCK];
    for (long first = w->expert_starts[expert], end = w->expert_starts[expert + 1]; first < end; first += TOKEN_CHUNK) {
        const long count = end - first < TOKEN_CHUNK ? end - first : TOKEN_CHUNK;
        multiply_rows(w->kernels, &linear->matrix, row, 2 * BLOCK, &w->expert_input, w->slot_tokens + first, count,
                      w->scratch[thread].multiply, products, 2 * BLOCK);
        for (long i = 0; i < count; i++) {
            w->functions->swiglu(products + i * 2 * BLOCK, linear->bias + row, m->alpha, m->limit, BLOCK, results);
            round_columns(w, &w->gated, needs_of(&w->layer->down), w->slots[first + i], block * BLOCK, BLOCK, results);
        }
    }
}

static void down_columns_task(void *context, long item, int thread) {
    Workspace *w = context;
    const ModelWeights *m = w->model;
    const Linear *linear = &w->layer->down;
    const long per_expert = (m->hidden_size + TASK_COLUMNS - 1) / TASK_COLUMNS, column = item % per_expert * TASK_COLUMNS;
    const long expert = w->used_experts[item / per_expert], row = expert * m->hidden_size + column;
    const long rows = m->hidden_size - column < TASK_COLUMNS ? m->hidden_size - column : TASK_COLUMNS;
    float *products = w->scratch[thread].products;
    for (long first = w->expert_starts[expert], end = w->expert_starts[expert + 1]; first < end; first += TOKEN_CHUNK) {
        const long count = end - first < TOKEN_CHUNK ? end - first : TOKEN_CHUNK;
        multiply_rows(w->kernels, &linear->matrix, row, rows, &w->gated, w->slots + first, count,
                      w->scratch[thread].multiply, products, TASK_COLUMNS);
        for (long i = 0; i < count; i++) {
            float *to = w->expert_products + w->slots[first + i] * m->hidden_size + column;
            for (long j = 0; j < rows; j++) to[j] = products[i * TASK_COLUMNS + j] + linear->bias[row + j];
        }
    }
}

/* Some columns of the logits for a chunk of tokens. */
static void project_logits_task(void *context, long item, int thread) {
    Workspace *w = context;
    const ModelWeights *m = w->model;
    const long chunks = count_token_chunks(w), first = item % chunks * TOKEN_CHUNK;
    const long count = w->tokens - first < TOKEN_CHUNK ? w->tokens - first : TOKEN_CHUNK;
    const long row = item / chunks * TASK_COLUMNS;
    const long rows = m->vocabulary - row < TASK_COLUMNS ? m->vocabulary - row : TASK_COLUMNS;
    multiply_rows(w->kernels, &m->head.matrix, row, rows, &w->head_input, w->identity + first, count,
                  w->scratch[thread].multiply, w->batch->logits + first * m->vocabulary + row, m->vocabulary);
}

/* ---- the pass */

static void build_tiles(Workspace *w) {
    w->tile_count = 0;
    TokenTile *tile = NULL;
    for (long t = 0; t < w->tokens; t++) {
        if (!tile || tile->count == TILE_TOKENS || tile->table != w->tables[t] ||
            tile->position + tile->count != w->positions[t]) {
            tile = w->tiles + w->tile_count++;
            *tile = (TokenTile){.table = w->tables[t], .first = (int32_t)t, .position = w->positions[t]};
        }
        tile->count++;
    }
}

static void place_tokens(Workspace *w) {
    long token = 0;
    for (long c = 0; c < w->batch->chunk_count; c++) {
        const Chunk *chunk = w->batch->chunks + c;
        for (long i = 0; i < chunk->length; i++, token++) {
            w->positions[token] = (int32_t)(chunk->start + i);
            w->tables[token] = chunk->table;
        }
    }
    w->tokens = token;
    build_tiles(w);
}

/* Keeps only the tokens whose logits are requested: after the last layer's keys and values, nothing needs the others. */
static void drop_tokens(Workspace *w) {
    const ModelWeights *m = w->model;
    const long query = m->heads * m->head_dim;
    long token = 0, kept = 0;
    for (long c = 0; c < w->batch->chunk_count; c++) {
        const Chunk *chunk = w->batch->chunks + c;
        for (long i = 0; i < chunk->length; i++, token++) {
            if (i < chunk->length - chunk->logit_count) continue;
            memmove(w->hidden + kept * m->hidden_size, w->hidden + token * m->hidden_size, (size_t)m->hidden_size * 4);
            memmove(w->query + kept * query, w->query + token * query, (size_t)query * 4);
            w->positions[kept] = w->positions[token];
            w->tables[kept++] = w->tables[token];
        }
    }
    w->tokens = kept;
    build_tiles(w);
}

static void run_batch_layer(Workspace *w) {
    const ModelWeights *m = w->model;
    Team *team = w->team;
    const long column_tasks = (m->hidden_size + TASK_COLUMNS - 1) / TASK_COLUMNS;
    parallel_for(team, prepare_attention_task, w, w->tokens, 1);
    parallel_for(team, project_head_task, w, (m->heads + 2 * m->kv_heads) * count_token_chunks(w), 1);
    if (w->layer_index == m->layer_count - 1) drop_tokens(w);
    if (!w->tokens) return;
    attend_tiles(w);
    parallel_for(team, project_output_task, w, column_tasks * count_token_chunks(w), 1);
    parallel_for(team, prepare_experts_task, w, w->tokens, 1);
    sort_slots(w);
    parallel_for(team, gate_up_columns_task, w, w->used_count * (m->intermediate_size / BLOCK), 1);
    parallel_for(team, down_columns_task, w, w->used_count * column_tasks, 1);
    w->has_expert_products = 1;
}

static int has_matrix_shape(const Linear *linear, int64_t rows, int64_t k) {
    return linear->matrix.rows == rows && linear->matrix.k == k && has_blocks(k) && linear->matrix.weights != NULL;
}

/* Returns 1 if all that is read lies within what the arguments say that they have. */
static int has_valid_model(const ModelWeights *m) {
    if (m->layer_count <= 0 || m->heads <= 0 || m->kv_heads <= 0 || m->heads % m->kv_heads || m->head_dim <= 0 ||
        m->head_dim % 16 || !has_blocks(m->hidden_size) || !has_blocks(m->intermediate_size) || m->unpadded_size <= 0 ||
        m->unpadded_size > m->hidden_size || m->active <= 0 || m->active > m->expert_count ||
        m->expert_count > LARGEST_EXPERT_COUNT || m->vocabulary <= 0 || !m->embedding || !m->norm ||
        !has_matrix_shape(&m->head, m->vocabulary, m->hidden_size))
        return 0;
    const int64_t query = m->heads * m->head_dim, kv = m->kv_heads * m->head_dim;
    const int64_t attended = m->kv_heads * round_up(query / m->kv_heads, BLOCK);
    for (int64_t i = 0; i < m->layer_count; i++) {
        const LayerWeights *l = m->layers + i;
        if (!has_matrix_shape(&l->query, query, m->hidden_size) || !has_matrix_shape(&l->key, kv, m->hidden_size) ||
            !has_matrix_shape(&l->value, kv, m->hidden_size) ||
            !has_matrix_shape(&l->output, m->hidden_size, attended) ||
            !has_matrix_shape(&l->gate_up, m->expert_count * 2 * m->intermediate_size, m->hidden_size) ||
            !has_matrix_shape(&l->down, m->expert_count * m->hidden_size, m->intermediate_size) ||
            !l->gate_up.bias || !l->down.bias || !l->input_norm || !l->post_norm || !l->sinks || !l->router ||
            !l->router_bias || l->window < 0)
            return 0;
    }
    return 1;
}

/* Returns 1 if the pass reads and writes only what the model and the cache have. */
static int has_valid_batch(const ModelWeights *m, const PagedCache *cache, const BatchArguments *batch) {
    int64_t tokens = 0, logits = 0;
    if (batch->chunk_count <= 0 || batch->threads <= 0 || batch->token_count > INT32_MAX / m->active) return 0;
    for (int64_t c = 0; c < batch->chunk_count; c++) {
        const Chunk *chunk = batch->chunks + c;
        if (chunk->length <= 0 || chunk->length > batch->token_count || chunk->start < 0 ||
            chunk->start > cache->position_count - chunk->length || chunk->logit_count < 0 ||
            chunk->logit_count > chunk->length)
            return 0;
        const int64_t blocks = (chunk->start + chunk->length + KEY_BLOCK - 1) / KEY_BLOCK;
        if (blocks > chunk->table_length) return 0;
        for (int64_t b = 0; b < blocks; b++)
            if (chunk->table[b] < 0 || chunk->table[b] >= cache->block_count) return 0;
        tokens += chunk->length;
        logits += chunk->logit_count;
    }
    if (tokens != batch->token_count || logits != batch->logit_count) return 0;
    for (int64_t t = 0; t < tokens; t++)
        if (batch->token_ids[t] < 0 || batch->token_ids[t] >= m->vocabulary) return 0;
    return 1;
}

/* Returns a workspace for a model, which must live longer; null if the model's parts do not fit together or memory runs
 * out. */
EXPORT Workspace *gptoss_create_workspace(const ModelWeights *model) {
    if (!has_valid_model(model)) return NULL;
    Workspace *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->model = model;
    w->kernels = select_kernels(model->level);
    w->functions = select_token_functions(model->level);
    w->group_width = round_up(model->heads / model->kv_heads * model->head_dim, BLOCK);
    w->expert_starts = malloc(((size_t)model->expert_count + 2) * 4);
    w->used_experts = malloc((size_t)model->expert_count * 4);
    if (w->expert_starts && w->used_experts) return w;
    free(w->expert_starts);
    free(w->used_experts);
    free(w);
    return NULL;
}

EXPORT void gptoss_free_workspace(Workspace *w) {
    if (!w) return;
    free_token_buffers(w);
    free_thread_scratch(w);
    free(w->expert_starts);
    free(w->used_experts);
    free(w);
}

static int run_batch(Workspace *w, const PagedCache *cache, const BatchArguments *batch) {
    const ModelWeights *m = w->model;
    w->cache = cache;
    w->batch = batch;
    w->has_expert_products = 0;
    w->block_stride = m->kv_heads * KEY_BLOCK * m->head_dim;
    place_tokens(w);
    for (w->layer_index = 0; w->layer_index < m->layer_count; w->layer_index++) {
        if (__atomic_load_n(batch->abort, __ATOMIC_RELAXED)) return ABORTED;
        w->layer = m->layers + w->layer_index;
        w->keys = cache->memory + 2 * w->layer_index * cache->block_count * w->block_stride;
        w->values = w->keys + cache->block_count * w->block_stride;
        run_batch_layer(w);
    }
    if (!w->tokens) return OK;
    parallel_for(w->team, prepare_head_task, w, w->tokens, 1);
    parallel_for(w->team, project_logits_task, w,
                 (m->vocabulary + TASK_COLUMNS - 1) / TASK_COLUMNS * count_token_chunks(w), 1);
    return OK;
}

/* Appends the batch's tokens to the cache and writes the requested logits. Returns OK, OUT_OF_MEMORY, INVALID_BATCH or
 * ABORTED. */
EXPORT int gptoss_forward(Workspace *w, const PagedCache *cache, const BatchArguments *batch) {
    if (!has_valid_batch(w->model, cache, batch)) return INVALID_BATCH;
    if (reserve_tokens(w, batch->token_count) || reserve_threads(w, batch->threads)) return OUT_OF_MEMORY;
    set_active(w->team, 1);
    const int code = run_batch(w, cache, batch);
    set_active(w->team, 0);
    return code;
}

#endif
