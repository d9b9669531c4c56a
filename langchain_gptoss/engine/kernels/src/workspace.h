/* The weights of a model, the arguments of a forward pass, and the buffers that are kept between passes. */
#ifndef GPTOSS_WORKSPACE_H
#define GPTOSS_WORKSPACE_H

#include "matrix.h"
#include "threads.h"
#include "token_functions.h"

#define LARGEST_EXPERT_COUNT 4096 /* models/checkpoint.py has the same limit */
#define TASK_COLUMNS 64  /* rows of a matrix in one task, which are columns of its result */
#define TOKEN_CHUNK 256  /* tokens in one product: their results stay in the cache of a core */
#define TILE_TOKENS 8    /* tokens of a sequence that share a block of keys and values while it is in the cache */
#define TASKS_PER_THREAD 4 /* so many tasks keep all threads busy to the end */
#define RANGE_PART_NUMBERS (1L << 20) /* float32 of range_parts */

typedef struct {
    WeightMatrix matrix;
    const float *bias; /* [rows], or null */
} Linear;

typedef struct {
    const float *input_norm, *post_norm;
    Linear query, key, value, output; /* columns of output: [kv_heads][group_width] */
    const float *sinks, *router, *router_bias; /* [heads]; [expert_count][hidden_size]; [expert_count] */
    Linear gate_up, down; /* [expert_count * rows of one expert][k] */
    int64_t window;       /* tokens that a sliding layer attends to, the new one included; 0: all tokens */
} LayerWeights;

typedef struct {
    const LayerWeights *layers;
    const void *embedding; /* [vocabulary][unpadded_size], bfloat16 or float32 */
    const float *norm;
    Linear head;
    int64_t layer_count, hidden_size, unpadded_size, intermediate_size, heads, kv_heads, head_dim, expert_count,
        active, vocabulary;
    float epsilon, scaling, alpha, limit;
    int32_t has_bfloat16_embedding, level;
} ModelWeights;

/* A block holds 16 tokens of all layers; a layer's part of it is [kv_heads][head_dim][16] keys, and
 * [kv_heads][16][head_dim] values. */
typedef struct {
    uint16_t *memory; /* float16 [layers][2][block_count][kv_heads * 16 * head_dim] */
    int64_t block_count;
    const float *cos, *sin; /* [position_count][head_dim / 2] */
    int64_t position_count;
} PagedCache;

typedef struct {
    int64_t start, length, logit_count; /* as in SequenceChunk */
    const int32_t *table;
    int64_t table_length;
} Chunk;

typedef struct {
    const Chunk *chunks;
    const int64_t *token_ids; /* of all chunks */
    float *logits;            /* [logit_count][vocabulary] */
    const int32_t *abort;     /* ends the pass before the next layer when it is not 0 */
    int64_t chunk_count, token_count, logit_count;
    int32_t threads;
} BatchArguments;

/* Adjacent tokens of one sequence. */
typedef struct {
    const int32_t *table;
    int32_t first, count, position; /* position of the first token */
    int32_t first_range, range_count; /* ranges of the cache that the tokens see in the present layer */
    long first_part;                /* index in `range_parts` */
} TokenTile;

typedef struct {
    void *multiply; /* for multiply_rows */
    float *products, *row, *attention;
    float *part, *softmax; /* of a tile and kv head: [rows][head_dim + 2] */
    float *attended;       /* [group_width] */
} ThreadScratch;

/* Buffers of a model that are kept between passes, and the state of the pass in progress. */
typedef struct {
    const ModelWeights *model;
    const Kernels *kernels;
    const TokenFunctions *functions;
    long group_width;              /* of a kv head's query heads, padded to whole blocks */
    long token_capacity, thread_capacity;
    ThreadScratch *scratch;        /* [threads] */
    Team *team;                    /* of thread_capacity threads */
    Activations attention_input, attended, expert_input, gated, head_input;
    float *hidden;                 /* [tokens][hidden_size] */
    float *query;                  /* [tokens][heads * head_dim] */
    float *expert_products;        /* [tokens * active][hidden_size] */
    float *expert_weights;         /* [tokens * active] */
    int32_t *chosen_experts;       /* [tokens * active] */
    int32_t *positions, *identity; /* [tokens] */
    const int32_t **tables;        /* [tokens] */
    TokenTile *tiles;
    int32_t *slots, *slot_tokens;  /* token * active + choice, and its token; sorted by expert */
    int32_t *expert_starts, *used_experts;
    float *range_parts;            /* softmaxes of ranges: [RANGE_PART_NUMBERS] */

    const PagedCache *cache;
    const BatchArguments *batch;
    const LayerWeights *layer;
    uint16_t *keys, *values;       /* of the layer */
    long tokens, tile_count, used_count, layer_index, block_stride;
    int has_expert_products;       /* results of the experts that are not added to `hidden` yet */
} Workspace;

/* ---- memory */

static int needs_of(const Linear *linear) { return find_need(&linear->matrix); }

static int needs_of_attention(const LayerWeights *l) {
    return needs_of(&l->query) | needs_of(&l->key) | needs_of(&l->value);
}

/* The forms that some layer needs, by buffer: all layers share the buffers, and their formats may differ. */
typedef struct {
    int attention_input, attended, expert_input, gated;
} LayerNeeds;

static LayerNeeds find_layer_needs(const ModelWeights *m) {
    LayerNeeds needs = {0};
    for (const LayerWeights *l = m->layers; l < m->layers + m->layer_count; l++) {
        needs.attention_input |= needs_of_attention(l);
        needs.attended |= needs_of(&l->output);
        needs.expert_input |= needs_of(&l->gate_up);
        needs.gated |= needs_of(&l->down);
    }
    return needs;
}

static void free_token_buffers(Workspace *w) {
    void *all[] = {w->hidden, w->query, w->expert_products, w->expert_weights, w->chosen_experts, w->positions,
                   w->identity, (void *)w->tables, w->tiles, w->slots, w->slot_tokens};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    Activations *activations[] = {&w->attention_input, &w->attended, &w->expert_input, &w->gated, &w->head_input};
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++) free_activations(activations[i]);
    w->hidden = w->query = w->expert_products = w->expert_weights = NULL;
    w->chosen_experts = w->positions = w->identity = w->slots = w->slot_tokens = NULL;
    w->tables = NULL;
    w->tiles = NULL;
    w->token_capacity = 0;
}

static void free_thread_scratch(Workspace *w) {
    for (long i = 0; i < w->thread_capacity; i++) free(w->scratch[i].multiply);
    free(w->scratch);
    free(w->range_parts);
    free_team(w->team);
    w->scratch = NULL;
    w->range_parts = NULL;
    w->team = NULL;
    w->thread_capacity = 0;
}

/* Returns OK or OUT_OF_MEMORY. */
static int reserve_tokens(Workspace *w, long tokens) {
    if (tokens <= w->token_capacity) return OK;
    const ModelWeights *m = w->model;
    const LayerNeeds needs = find_layer_needs(m);
    const long slots = tokens * m->active;
    free_token_buffers(w);
    int failed = allocate_activations(&w->attention_input, tokens, m->hidden_size, needs.attention_input) ||
        allocate_activations(&w->attended, tokens, m->kv_heads * w->group_width, needs.attended) ||
        allocate_activations(&w->expert_input, tokens, m->hidden_size, needs.expert_input) ||
        allocate_activations(&w->gated, slots, m->intermediate_size, needs.gated) ||
        allocate_activations(&w->head_input, tokens, m->hidden_size, needs_of(&m->head));
    w->hidden = allocate_aligned(tokens * m->hidden_size * 4);
    w->query = allocate_aligned(tokens * m->heads * m->head_dim * 4);
    w->expert_products = allocate_aligned(slots * m->hidden_size * 4);
    w->expert_weights = allocate_aligned(slots * 4);
    w->chosen_experts = allocate_aligned(slots * 4);
    w->positions = allocate_aligned(tokens * 4);
    w->identity = allocate_aligned(tokens * 4);
    w->tables = allocate_aligned(tokens * (long)sizeof *w->tables);
    w->tiles = allocate_aligned(tokens * (long)sizeof *w->tiles);
    w->slots = allocate_aligned(slots * 4);
    w->slot_tokens = allocate_aligned(slots * 4);
    failed = failed || !w->hidden || !w->query || !w->expert_products || !w->expert_weights || !w->chosen_experts ||
        !w->positions || !w->identity || !w->tables || !w->tiles || !w->slots || !w->slot_tokens;
    if (failed) {
        free_token_buffers(w);
        return OUT_OF_MEMORY;
    }
    for (long i = 0; i < tokens; i++) w->identity[i] = (int32_t)i;
    w->token_capacity = tokens;
    return OK;
}

static size_t find_largest_scratch(const ModelWeights *m, long rows) {
    const LayerWeights *l = m->layers;
    const Linear *all[] = {&l->query, &l->output, &l->gate_up, &l->down, &m->head};
    size_t largest = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const size_t size = multiply_scratch_size(&all[i]->matrix, rows, TOKEN_CHUNK);
        largest = size > largest ? size : largest;
    }
    return largest;
}

/* Returns OK or OUT_OF_MEMORY. */
static int reserve_threads(Workspace *w, long threads) {
    if (threads == w->thread_capacity) return OK;
    const ModelWeights *m = w->model;
    const long heads = m->heads / m->kv_heads, columns = m->head_dim > TASK_COLUMNS ? m->head_dim : TASK_COLUMNS;
    const long multiply = round_up((long)find_largest_scratch(m, columns), 64);
    const long products = round_up(TOKEN_CHUNK * columns * 4, 64), row = round_up(m->hidden_size * 4, 64);
    const long rows = TILE_TOKENS * heads, part = round_up(count_part_numbers(rows, m->head_dim) * 4, 64);
    const long attention = round_up(count_attention_scratch(rows, m->head_dim) * 4, 64);
    const long attended = round_up(w->group_width * 4, 64);
    free_thread_scratch(w);
    w->scratch = calloc((size_t)threads, sizeof *w->scratch);
    w->range_parts = allocate_aligned(RANGE_PART_NUMBERS * 4);
    if (!w->scratch || !w->range_parts) return OUT_OF_MEMORY;
    for (; w->thread_capacity < threads; w->thread_capacity++) {
        ThreadScratch *s = w->scratch + w->thread_capacity;
        char *memory = allocate_aligned(multiply + products + row + attention + 2 * part + attended);
        if (!memory) return OUT_OF_MEMORY;
        s->multiply = memory;
        s->products = (float *)(memory + multiply);
        s->row = (float *)(memory + multiply + products);
        s->attention = (float *)(memory + multiply + products + row);
        s->part = (float *)(memory + multiply + products + row + attention);
        s->softmax = (float *)(memory + multiply + products + row + attention + part);
        s->attended = (float *)(memory + multiply + products + row + attention + 2 * part);
    }
    w->team = create_team((int)threads);
    return OK;
}

#endif
