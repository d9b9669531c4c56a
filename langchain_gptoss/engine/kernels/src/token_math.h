/* Arithmetic on one token: norm, router, SwiGLU, attention. Each level includes this file once, with NAME and LEVEL
 * defined, so that the compiler uses the level's instructions.
 *
 * All levels give the same bits: sums have a fixed number of parts, products are added with one rounding where
 * MULTIPLY_ADD says so and with two elsewhere, and exponentials are our own. Sizes are multiples of 16. */

#ifndef GPTOSS_TOKEN_MATH_H
#define GPTOSS_TOKEN_MATH_H
#define KEY_BLOCK 16   /* tokens in a block of the KV cache */
#define SPAN_BLOCKS 4  /* blocks of one step of the softmax */
#define SPAN (SPAN_BLOCKS * KEY_BLOCK)
#define RANGE 256      /* tokens in a range of the cache; threads share the ranges of a long sequence */
#define ROW_GROUP 6    /* rows that are multiplied at once, by 16 keys or columns: 12 accumulators */
#define DIRECT_ROWS 8  /* so few rows read float16 keys and values without a copy in float32 */
#define HALF_MAX 65504.0f

/* Some tokens of one sequence and a group of query heads, which share keys and values. A row is one head of one token:
 * row t * heads + h. */
typedef struct {
    const float *query;  /* [tokens][query_stride], the group's heads one after another */
    const uint16_t *keys, *values; /* the group's part of block 0: [width][KEY_BLOCK] and [KEY_BLOCK][width] */
    const int32_t *table;
    const float *sinks;  /* [heads] */
    float *scratch;      /* count_attention_scratch numbers */
    long query_stride, block_stride, tokens, heads, width, position, window; /* position of the first token */
    float scaling;
} AttentionTile;

/* A softmax over some of the keys: sums of values and of weights, both relative to exp(largest). */
typedef struct {
    float *sums;            /* [rows][width] */
    float *largest, *total; /* [rows] */
} AttentionPart;

static inline long count_part_numbers(long rows, long width) { return rows * (width + 2); }

static inline AttentionPart place_part(float *memory, long rows, long width) {
    return (AttentionPart){.sums = memory, .largest = memory + rows * width, .total = memory + rows * (width + 1)};
}

static inline long count_attention_scratch(long rows, long width) {
    return KEY_BLOCK * width + rows * (width + SPAN); /* a block in float32, the queries by groups, and scores */
}

/* Rows are divided into groups of equal size, of 6 or fewer. */
static inline long choose_group_size(long rows) {
    const long groups = (rows + ROW_GROUP - 1) / ROW_GROUP, size = (rows + groups - 1) / groups;
    return rows % size && rows % 4 == 0 ? 4 : size;
}
#endif

/* As fast_exp in generic.h, for 8 numbers. */
LEVEL Float8 NAME(exp8)(Float8 x) {
    Float8 y = x * 1.44269504f;
    const Whole8 low = y < -126.0f, high = y > 126.0f;
    y = (Float8)((low & (Whole8)(Float8){-126, -126, -126, -126, -126, -126, -126, -126}) | (~low & (Whole8)y));
    y = (Float8)((high & (Whole8)(Float8){126, 126, 126, 126, 126, 126, 126, 126}) | (~high & (Whole8)y));
    const Float8 shifted = y + 12582912.0f; /* the nearest whole number is in the low bits */
    const Whole8 n = (Whole8)shifted - 0x4b400000;
    const Float8 f = (y - (shifted - 12582912.0f)) * 0.69314718f;
    const Float8 p =
        1.0f + f * (1.0f + f * (0.5f + f * (1 / 6.0f + f * (1 / 24.0f + f * (1 / 120.0f + f * (1 / 720.0f))))));
    return p * (Float8)((n + 127) << 23);
}

LEVEL float NAME(sum8)(Float8 v) { return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7])); }

#ifndef GPTOSS_LARGER
#define GPTOSS_LARGER
#define LARGER(a, b) ((a) > (b) ? (a) : (b)) /* b if one is NaN */
#endif

LEVEL float NAME(max8)(Float8 v) {
    const float a = LARGER(v[0], v[4]), b = LARGER(v[1], v[5]), c = LARGER(v[2], v[6]), d = LARGER(v[3], v[7]);
    const float e = LARGER(a, c), f = LARGER(b, d);
    return LARGER(e, f);
}

LEVEL float NAME(dot_product)(const float *a, const float *b, long count) {
    Float8 first = {0}, second = {0};
    for (long j = 0; j < count; j += 16) {
        first = MULTIPLY_ADD(*(const Float8 *)(a + j), *(const Float8 *)(b + j), first);
        second = MULTIPLY_ADD(*(const Float8 *)(a + j + 8), *(const Float8 *)(b + j + 8), second);
    }
    return NAME(sum8)(first + second);
}

/* Root mean square norm of `size` numbers, the last of which may be padding: `count` are real. */
LEVEL_FUNCTION void NAME(rms_norm)(const float *x, const float *weight, float epsilon, long count, long size, float *out) {
    const float factor = 1 / sqrtf(NAME(dot_product)(x, x, size) / (float)count + epsilon);
    for (long j = 0; j < size; j += 8)
        *(Float8 *)(out + j) = *(const Float8 *)(weight + j) * (*(const Float8 *)(x + j) * factor);
}

/* The clamped SwiGLU of GptOssExperts: `count` results from twice as many products, in which gate and up alternate.
 * The comparisons keep NaN. */
LEVEL_FUNCTION void NAME(swiglu)(const float *products, const float *bias, float alpha, float limit, long count, float *out) {
    for (long j = 0; j < count; j += 8) {
        Float8 gate, up;
        for (int l = 0; l < 8; l++) {
            const long at = 2 * (j + l);
            float g = products[at] + bias[at], u = products[at + 1] + bias[at + 1];
            gate[l] = g > limit ? limit : g;
            up[l] = u > limit ? limit : u < -limit ? -limit : u;
        }
        *(Float8 *)(out + j) = (up + 1.0f) * gate / (1.0f + NAME(exp8)(gate * -alpha));
    }
}

#ifdef LEVEL_HAS_HALF
LEVEL_FUNCTION void NAME(store_halves)(const float *from, uint16_t *to, long count) {
    for (long j = 0; j < count; j += 8) {
        const __m256 largest = _mm256_set1_ps(HALF_MAX), smallest = _mm256_set1_ps(-HALF_MAX);
        /* The second operand is kept if one is NaN. */
        const __m256 x = _mm256_max_ps(smallest, _mm256_min_ps(largest, _mm256_loadu_ps(from + j)));
        _mm_storeu_si128((__m128i *)(to + j), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    }
}
#else
LEVEL_FUNCTION void NAME(store_halves)(const float *from, uint16_t *to, long count) {
    for (long j = 0; j < count; j++) to[j] = float_to_half(from[j]);
}
#endif

#ifdef LEVEL_HAS_HALF
LEVEL Float8 NAME(load_half8)(const uint16_t *from) {
    return (Float8)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from));
}
#else
LEVEL Float8 NAME(load_half8)(const uint16_t *from) {
    Float8 to;
    for (int j = 0; j < 8; j++) to[j] = half_to_float(from[j]);
    return to;
}
#endif

/* Copies halves as float32 and prefetches as many from `next`. */
LEVEL void NAME(load_halves)(const uint16_t *from, float *to, long count, const uint16_t *next) {
    for (long j = 0; j < count; j += 8) {
        *(Float8 *)(to + j) = NAME(load_half8)(from + j);
        if (j % 32 == 0) __builtin_prefetch(next + j);
    }
}

/* Number 8 * index and the next seven of float16 or float32 numbers. */
LEVEL Float8 NAME(load8)(const void *from, long index, const int is_half) {
    if (is_half) return NAME(load_half8)((const uint16_t *)from + 8 * index);
    return *(const Float8 *)((const float *)from + 8 * index);
}

/* Products of `count` rows, query[d * count + row], with a block of keys: scores[row * SPAN + key]. Blocks are too short
 * for the processor to fetch them ahead by itself, so each one prefetches the `next` one while it is read. */
LEVEL void NAME(score_block)(const float *query, const void *keys, const int is_half, long width, const int count,
                             float *scores, const uint16_t *next) {
    Float8 sums[ROW_GROUP][2] = {0};
    for (long d = 0; d < width; d++) {
        if (is_half) __builtin_prefetch(next + d * KEY_BLOCK);
        const Float8 low = NAME(load8)(keys, 2 * d, is_half), high = NAME(load8)(keys, 2 * d + 1, is_half);
#pragma GCC unroll 6
        for (int r = 0; r < count; r++) {
            const Float8 number = query[d * count + r] - (Float8){0};
            sums[r][0] = MULTIPLY_ADD(number, low, sums[r][0]);
            sums[r][1] = MULTIPLY_ADD(number, high, sums[r][1]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < count; r++) {
        *(Float8 *)(scores + r * SPAN) = sums[r][0];
        *(Float8 *)(scores + r * SPAN + 8) = sums[r][1];
    }
}

/* Turns the scores of one row into weights. The row sees the keys from `first` to before `end`. Returns the factor of
 * all that was added up before. */
LEVEL float NAME(weigh_span)(float *scores, float scaling, long first, long end, float *largest, float *total) {
    const Whole8 lanes = {0, 1, 2, 3, 4, 5, 6, 7};
    const Whole8 lowest = (Whole8)((Float8){0} - INFINITY);
    Float8 most = (Float8)lowest, sums[2] = {0};
    for (long j = first / 8 * 8; j < end; j += 8) {
        const Whole8 keys = lanes + (int32_t)j, visible = (keys >= (int32_t)first) & (keys < (int32_t)end);
        const Float8 scaled = *(const Float8 *)(scores + j) * scaling;
        const Float8 score = (Float8)((visible & (Whole8)scaled) | (~visible & lowest));
        const Whole8 larger = score > most;
        most = (Float8)((larger & (Whole8)score) | (~larger & (Whole8)most));
        *(Float8 *)(scores + j) = score;
    }
    const float span_largest = NAME(max8)(most), new_largest = LARGER(span_largest, *largest);
    for (long j = first / 8 * 8; j < end; j += 8) {
        const Float8 weight = NAME(exp8)(*(const Float8 *)(scores + j) - new_largest);
        *(Float8 *)(scores + j) = weight;
        sums[j / 8 % 2] += weight; /* a hidden key adds 2^-126, which is nothing beside the 1 of the sink */
    }
    const float shrink = fast_exp(*largest - new_largest);
    *total = *total * shrink + NAME(sum8)(sums[0] + sums[1]);
    *largest = new_largest;
    return shrink;
}

/* Adds a block of values, from `first` to before `end`, to `count` rows: weights[row * SPAN + key]. Hidden values are
 * not read: they may be NaN. `next` is as in score_block. */
LEVEL void NAME(add_values)(const float *weights, const void *values, const int is_half, long width, long first, long end,
                            const int count, float *out, const uint16_t *next) {
    for (long d = 0; d < width; d += 16) {
        Float8 sums[ROW_GROUP][2];
#pragma GCC unroll 6
        for (int r = 0; r < count; r++) {
            sums[r][0] = *(const Float8 *)(out + r * width + d);
            sums[r][1] = *(const Float8 *)(out + r * width + d + 8);
        }
        for (long key = first; key < end; key++) {
            const long index = (key * width + d) / 8;
            if (is_half) __builtin_prefetch(next + d * KEY_BLOCK + key * 16);
            const Float8 low = NAME(load8)(values, index, is_half), high = NAME(load8)(values, index + 1, is_half);
#pragma GCC unroll 6
            for (int r = 0; r < count; r++) {
                const Float8 weight = weights[r * SPAN + key] - (Float8){0};
                sums[r][0] = MULTIPLY_ADD(weight, low, sums[r][0]);
                sums[r][1] = MULTIPLY_ADD(weight, high, sums[r][1]);
            }
        }
#pragma GCC unroll 6
        for (int r = 0; r < count; r++) {
            *(Float8 *)(out + r * width + d) = sums[r][0];
            *(Float8 *)(out + r * width + d + 8) = sums[r][1];
        }
    }
}

/* Calls a function with a constant number of rows, so that their sums stay in registers. */
#ifndef GPTOSS_FOR_ROWS
#define GPTOSS_FOR_ROWS
#define CALL_FOR_ROWS(count, call)                                                                                     \
    switch (count) {                                                                                                   \
    case 1: call(1); break;                                                                                            \
    case 2: call(2); break;                                                                                            \
    case 3: call(3); break;                                                                                            \
    case 4: call(4); break;                                                                                            \
    case 5: call(5); break;                                                                                            \
    default: call(ROW_GROUP);                                                                                          \
    }

/* The keys from `start` on that the token at `position` sees, up to `length` of them: [first, end). */
static inline void find_visible(const AttentionTile *tile, long position, long start, long length, long *first,
                                long *end) {
    const long oldest = tile->window && position >= tile->window ? position + 1 - tile->window : 0;
    *first = oldest > start ? oldest - start : 0;
    *end = position - start < length ? position + 1 - start : length;
}

static inline int is_seen_by_all(const AttentionTile *tile, long block) {
    const long first = block * KEY_BLOCK, last = tile->position + tile->tokens - 1;
    return first + KEY_BLOCK - 1 <= tile->position && (!tile->window || first > last - tile->window);
}
#endif

/* Puts the queries into the scratch in the order in which score_block reads them: [group][width][rows of the group]. */
LEVEL_FUNCTION void NAME(pack_queries)(const AttentionTile *tile) {
    const long rows = tile->tokens * tile->heads, group_size = choose_group_size(rows);
    float *packed = tile->scratch + KEY_BLOCK * tile->width;
    for (long row = 0; row < rows; row++) {
        const float *query = tile->query + row / tile->heads * tile->query_stride + row % tile->heads * tile->width;
        const long start = row / group_size * group_size, count = rows - start < group_size ? rows - start : group_size;
        for (long d = 0; d < tile->width; d++) packed[start * tile->width + d * count + row - start] = query[d];
    }
}

LEVEL void NAME(score_rows)(const AttentionTile *tile, long group_size, const float *packed, long block,
                            const void *keys, const int is_half, float *scores, const uint16_t *next) {
    const long rows = tile->tokens * tile->heads, width = tile->width;
    long first, end, unused;
    for (long row = 0; row < rows; row += group_size) {
        const long count = rows - row < group_size ? rows - row : group_size;
        if (!is_seen_by_all(tile, block)) {
            const long last = row + count - 1;
            find_visible(tile, tile->position + row / tile->heads, block * KEY_BLOCK, KEY_BLOCK, &first, &unused);
            find_visible(tile, tile->position + last / tile->heads, block * KEY_BLOCK, KEY_BLOCK, &unused, &end);
            if (first >= end) continue; /* no token of the group sees the block */
        }
        float *to = scores + row * SPAN + block % SPAN_BLOCKS * KEY_BLOCK;
#define CALL(count) NAME(score_block)(packed + row * width, keys, is_half, width, count, to, next)
        CALL_FOR_ROWS(count, CALL)
#undef CALL
    }
}

LEVEL void NAME(weigh_rows)(const AttentionTile *tile, long span, float *scores, const AttentionPart *part) {
    long first, end;
    for (long row = 0; row < tile->tokens * tile->heads; row++) {
        find_visible(tile, tile->position + row / tile->heads, span * SPAN, SPAN, &first, &end);
        if (first >= end) continue;
        const float shrink = NAME(weigh_span)(scores + row * SPAN, tile->scaling, first, end, part->largest + row,
                                              part->total + row);
        float *sums = part->sums + row * tile->width;
        for (long d = 0; shrink != 1 && d < tile->width; d += 8) *(Float8 *)(sums + d) *= shrink;
    }
}

/* Adds a block's values to a group of rows: together for the keys that all of them see, and one by one for others. */
LEVEL void NAME(add_group)(const AttentionTile *tile, long row, long count, long block, const void *values,
                           const int is_half, const float *weights, float *sums, const uint16_t *next) {
    const long width = tile->width;
    long first, end, common_first, common_end, unused;
    find_visible(tile, tile->position + row / tile->heads, block * KEY_BLOCK, KEY_BLOCK, &unused, &common_end);
    find_visible(tile, tile->position + (row + count - 1) / tile->heads, block * KEY_BLOCK, KEY_BLOCK, &common_first,
                 &unused);
    common_end = common_end > common_first ? common_end : common_first;
    for (long r = 0; r < count; r++) {
        find_visible(tile, tile->position + (row + r) / tile->heads, block * KEY_BLOCK, KEY_BLOCK, &first, &end);
        end = end < common_first ? end : common_first;
        if (first < end)
            NAME(add_values)(weights + r * SPAN, values, is_half, width, first, end, 1, sums + r * width, next);
    }
    if (common_first < common_end) {
#define CALL(count) NAME(add_values)(weights, values, is_half, width, common_first, common_end, count, sums, next)
        CALL_FOR_ROWS(count, CALL)
#undef CALL
    }
    for (long r = 0; r < count; r++) {
        find_visible(tile, tile->position + (row + r) / tile->heads, block * KEY_BLOCK, KEY_BLOCK, &first, &end);
        first = first > common_end ? first : common_end;
        if (first < end)
            NAME(add_values)(weights + r * SPAN, values, is_half, width, first, end, 1, sums + r * width, next);
    }
}

LEVEL void NAME(add_rows)(const AttentionTile *tile, long group_size, long block, const void *values, const int is_half,
                          const float *scores, float *sums, const uint16_t *next) {
    const long rows = tile->tokens * tile->heads, width = tile->width;
    for (long row = 0; row < rows; row += group_size) {
        const long count = rows - row < group_size ? rows - row : group_size;
        const float *weights = scores + row * SPAN + block % SPAN_BLOCKS * KEY_BLOCK;
        if (is_seen_by_all(tile, block)) {
#define CALL(count) NAME(add_values)(weights, values, is_half, width, 0, KEY_BLOCK, count, sums + row * width, next)
            CALL_FOR_ROWS(count, CALL)
#undef CALL
        } else
            NAME(add_group)(tile, row, count, block, values, is_half, weights, sums + row * width, next);
    }
}

/* Adds one span of keys to a softmax. */
LEVEL void NAME(attend_span)(const AttentionTile *tile, long group_size, long span, const int is_half,
                             const AttentionPart *part) {
    const long width = tile->width, rows = tile->tokens * tile->heads, last = tile->position + tile->tokens - 1;
    const long oldest = tile->window && tile->position >= tile->window ? tile->position + 1 - tile->window : 0;
    const long before = span * SPAN_BLOCKS, after = before + SPAN_BLOCKS;
    const long first = oldest / KEY_BLOCK > before ? oldest / KEY_BLOCK : before;
    const long end = last / KEY_BLOCK < after ? last / KEY_BLOCK + 1 : after;
    float *copy = tile->scratch, *packed = copy + KEY_BLOCK * width, *scores = packed + rows * width;
    for (long b = first; b < end; b++) {
        const uint16_t *keys = tile->keys + tile->table[b] * tile->block_stride;
        const uint16_t *next = b + 1 < end ? tile->keys + tile->table[b + 1] * tile->block_stride
                                           : tile->values + tile->table[first] * tile->block_stride;
        if (!is_half) NAME(load_halves)(keys, copy, KEY_BLOCK * width, next);
        NAME(score_rows)(tile, group_size, packed, b, is_half ? (const void *)keys : copy, is_half, scores, next);
    }
    NAME(weigh_rows)(tile, span, scores, part);
    for (long b = first; b < end; b++) {
        const uint16_t *values = tile->values + tile->table[b] * tile->block_stride;
        const uint16_t *next = b + 1 < end               ? tile->values + tile->table[b + 1] * tile->block_stride
                               : last >= end * KEY_BLOCK ? tile->keys + tile->table[end] * tile->block_stride
                                                         : values;
        if (!is_half) NAME(load_halves)(values, copy, KEY_BLOCK * width, next);
        NAME(add_rows)(tile, group_size, b, is_half ? (const void *)values : copy, is_half, scores, part->sums, next);
    }
}

/* Attention in the keys of one range, after pack_queries: an online softmax, whose steps are spans. */
LEVEL_FUNCTION void NAME(attend)(const AttentionTile *tile, long range, const AttentionPart *part) {
    const long rows = tile->tokens * tile->heads, last = tile->position + tile->tokens - 1;
    const long oldest = tile->window && tile->position >= tile->window ? tile->position + 1 - tile->window : 0;
    const long first = oldest > range * RANGE ? oldest / SPAN : range * (RANGE / SPAN);
    const long end = last / RANGE > range ? (range + 1) * (RANGE / SPAN) : last / SPAN + 1;
    const long group_size = choose_group_size(rows);
    for (long i = 0; i < rows; i++) {
        part->largest[i] = tile->sinks[i % tile->heads];
        part->total[i] = 0;
    }
    memset(part->sums, 0, (size_t)(rows * tile->width) * 4);
    if (rows <= DIRECT_ROWS)
        for (long span = first; span < end; span++) NAME(attend_span)(tile, group_size, span, 1, part);
    else
        for (long span = first; span < end; span++) NAME(attend_span)(tile, group_size, span, 0, part);
}

/* Adds a range's softmax to that of the ranges before. */
LEVEL_FUNCTION void NAME(merge_part)(const AttentionPart *part, long rows, long width, const AttentionPart *all) {
    for (long i = 0; i < rows; i++) {
        const float largest = LARGER(part->largest[i], all->largest[i]);
        const float shrink = fast_exp(all->largest[i] - largest), factor = fast_exp(part->largest[i] - largest);
        const float *from = part->sums + i * width;
        float *sums = all->sums + i * width;
        all->total[i] = all->total[i] * shrink + part->total[i] * factor;
        all->largest[i] = largest;
        for (long d = 0; d < width; d += 8) {
            const Float8 before = *(Float8 *)(sums + d) * shrink;
            *(Float8 *)(sums + d) = MULTIPLY_ADD(*(const Float8 *)(from + d), factor - (Float8){0}, before);
        }
    }
}
