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
#define HEAD_GROUP 4   /* query heads that are multiplied at once: 8 accumulators */
#define HALF_MAX 65504.0f

/* Attention of some tokens of one sequence in one group of query heads, which share keys and values. */
typedef struct {
    const float *query;  /* [tokens][query_stride], the group's heads one after another */
    float *out;          /* [tokens][out_stride] */
    const uint16_t *keys, *values; /* the group's part of block 0: [width][KEY_BLOCK] and [KEY_BLOCK][width] */
    const int32_t *table;
    const float *sinks;  /* [heads] */
    float *scratch;      /* KEY_BLOCK * width + (SPAN + 2) * tokens * heads */
    long query_stride, out_stride, block_stride, tokens, heads, width, position, window; /* position of the first token */
    float scaling;
} AttentionTile;
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
LEVEL void NAME(load_halves)(const uint16_t *from, float *to, long count) {
    for (long j = 0; j < count; j += 8)
        _mm256_storeu_ps(to + j, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + j))));
}
LEVEL_FUNCTION void NAME(store_halves)(const float *from, uint16_t *to, long count) {
    for (long j = 0; j < count; j += 8) {
        const __m256 largest = _mm256_set1_ps(HALF_MAX), smallest = _mm256_set1_ps(-HALF_MAX);
        /* The second operand is kept if one is NaN. */
        const __m256 x = _mm256_max_ps(smallest, _mm256_min_ps(largest, _mm256_loadu_ps(from + j)));
        _mm_storeu_si128((__m128i *)(to + j), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    }
}
#else
LEVEL void NAME(load_halves)(const uint16_t *from, float *to, long count) {
    for (long j = 0; j < count; j++) to[j] = half_to_float(from[j]);
}
LEVEL_FUNCTION void NAME(store_halves)(const float *from, uint16_t *to, long count) {
    for (long j = 0; j < count; j++) to[j] = float_to_half(from[j]);
}
#endif

/* Products of `count` query heads of one token with a block of keys: scores[head * SPAN + key]. */
LEVEL void NAME(score_block)(const float *query, const float *keys, long width, const int count, float *scores) {
    Float8 sums[HEAD_GROUP][2] = {0};
    for (long d = 0; d < width; d++) {
        const Float8 low = *(const Float8 *)(keys + d * KEY_BLOCK), high = *(const Float8 *)(keys + d * KEY_BLOCK + 8);
#pragma GCC unroll 4
        for (int h = 0; h < count; h++) {
            const Float8 number = query[h * width + d] - (Float8){0};
            sums[h][0] = MULTIPLY_ADD(number, low, sums[h][0]);
            sums[h][1] = MULTIPLY_ADD(number, high, sums[h][1]);
        }
    }
#pragma GCC unroll 4
    for (int h = 0; h < count; h++) {
        *(Float8 *)(scores + h * SPAN) = sums[h][0];
        *(Float8 *)(scores + h * SPAN + 8) = sums[h][1];
    }
}

/* Turns the scores of one query head into weights. The head sees the keys from `first` to before `end`. Returns the
 * factor of all that was added up before. */
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
        *(Float8 *)(scores + j) = weight; /* a hidden key adds 2^-126 to a total of at least 1: nothing */
        sums[j / 8 % 2] += weight;
    }
    const float shrink = fast_exp(*largest - new_largest);
    *total = *total * shrink + NAME(sum8)(sums[0] + sums[1]);
    *largest = new_largest;
    return shrink;
}

/* Adds a block of values, from `first` to before `end`, to `count` heads of one token. Hidden values are not read: they
 * may be NaN. */
LEVEL void NAME(add_values)(const float *weights, const float *values, long width, long first, long end,
                            const int count, float *out) {
    for (long d = 0; d < width; d += 16) {
        Float8 sums[HEAD_GROUP][2];
#pragma GCC unroll 4
        for (int h = 0; h < count; h++) {
            sums[h][0] = *(const Float8 *)(out + h * width + d);
            sums[h][1] = *(const Float8 *)(out + h * width + d + 8);
        }
        for (long key = first; key < end; key++) {
            const Float8 low = *(const Float8 *)(values + key * width + d);
            const Float8 high = *(const Float8 *)(values + key * width + d + 8);
#pragma GCC unroll 4
            for (int h = 0; h < count; h++) {
                const Float8 weight = weights[h * SPAN + key] - (Float8){0};
                sums[h][0] = MULTIPLY_ADD(weight, low, sums[h][0]);
                sums[h][1] = MULTIPLY_ADD(weight, high, sums[h][1]);
            }
        }
#pragma GCC unroll 4
        for (int h = 0; h < count; h++) {
            *(Float8 *)(out + h * width + d) = sums[h][0];
            *(Float8 *)(out + h * width + d + 8) = sums[h][1];
        }
    }
}

/* Calls a function with a constant number of heads, so that their sums stay in registers. */
#ifndef GPTOSS_FOR_HEADS
#define GPTOSS_FOR_HEADS
#define CALL_FOR_HEADS(remaining, call)                                                                                \
    switch (remaining) {                                                                                               \
    case 1: call(1); break;                                                                                            \
    case 2: call(2); break;                                                                                            \
    case 3: call(3); break;                                                                                            \
    default: call(HEAD_GROUP);                                                                                         \
    }

/* The keys from `start` on that the token at `position` sees, up to `length` of them: [first, end). */
static inline void find_visible(const AttentionTile *tile, long position, long start, long length, long *first,
                                long *end) {
    const long oldest = tile->window && position >= tile->window ? position + 1 - tile->window : 0;
    *first = oldest > start ? oldest - start : 0;
    *end = position - start < length ? position + 1 - start : length;
}
#endif

LEVEL void NAME(score_tile)(const AttentionTile *tile, long block, const float *keys, float *scores) {
    long first, end;
    for (long t = 0; t < tile->tokens; t++) {
        find_visible(tile, tile->position + t, block * KEY_BLOCK, KEY_BLOCK, &first, &end);
        for (long h = 0; first < end && h < tile->heads; h += HEAD_GROUP) {
            const float *query = tile->query + t * tile->query_stride + h * tile->width;
            float *to = scores + (t * tile->heads + h) * SPAN + block % SPAN_BLOCKS * KEY_BLOCK;
#define CALL(count) NAME(score_block)(query, keys, tile->width, count, to)
            CALL_FOR_HEADS(tile->heads - h, CALL)
#undef CALL
        }
    }
}

LEVEL void NAME(weigh_tile)(const AttentionTile *tile, long span, float *scores, float *largest, float *total) {
    long first, end;
    for (long t = 0; t < tile->tokens; t++) {
        find_visible(tile, tile->position + t, span * SPAN, SPAN, &first, &end);
        for (long h = 0; first < end && h < tile->heads; h++) {
            const long row = t * tile->heads + h;
            float *out = tile->out + t * tile->out_stride + h * tile->width;
            const float shrink =
                NAME(weigh_span)(scores + row * SPAN, tile->scaling, first, end, largest + row, total + row);
            for (long d = 0; d < tile->width; d += 8) *(Float8 *)(out + d) *= shrink;
        }
    }
}

LEVEL void NAME(add_tile)(const AttentionTile *tile, long block, const float *values, const float *scores) {
    long first, end;
    for (long t = 0; t < tile->tokens; t++) {
        find_visible(tile, tile->position + t, block * KEY_BLOCK, KEY_BLOCK, &first, &end);
        for (long h = 0; first < end && h < tile->heads; h += HEAD_GROUP) {
            float *out = tile->out + t * tile->out_stride + h * tile->width;
            const float *weights = scores + (t * tile->heads + h) * SPAN + block % SPAN_BLOCKS * KEY_BLOCK;
#define CALL(count) NAME(add_values)(weights, values, tile->width, first, end, count, out)
            CALL_FOR_HEADS(tile->heads - h, CALL)
#undef CALL
        }
    }
}

/* Attention with an online softmax: keys are added in spans that begin at multiples of SPAN positions, from the first
 * one that a token sees. A sink takes a share of the softmax and has no value. */
LEVEL_FUNCTION void NAME(attend)(const AttentionTile *tile) {
    const long width = tile->width, rows = tile->tokens * tile->heads, last = tile->position + tile->tokens - 1;
    float *block = tile->scratch, *scores = block + KEY_BLOCK * width, *largest = scores + rows * SPAN;
    float *total = largest + rows;
    for (long i = 0; i < rows; i++) {
        largest[i] = tile->sinks[i % tile->heads];
        total[i] = 1;
    }
    memset(tile->out, 0, (size_t)(tile->tokens * tile->out_stride) * 4);
    const long start = tile->window && tile->position >= tile->window ? tile->position + 1 - tile->window : 0;
    for (long span = start / SPAN; span <= last / SPAN; span++) {
        const long before = span * SPAN_BLOCKS, after = before + SPAN_BLOCKS;
        const long first = start / KEY_BLOCK > before ? start / KEY_BLOCK : before;
        const long end = last / KEY_BLOCK < after ? last / KEY_BLOCK + 1 : after;
        for (long b = first; b < end; b++) {
            NAME(load_halves)(tile->keys + tile->table[b] * tile->block_stride, block, KEY_BLOCK * width);
            NAME(score_tile)(tile, b, block, scores);
        }
        NAME(weigh_tile)(tile, span, scores, largest, total);
        for (long b = first; b < end; b++) {
            NAME(load_halves)(tile->values + tile->table[b] * tile->block_stride, block, KEY_BLOCK * width);
            NAME(add_tile)(tile, b, block, scores);
        }
    }
    for (long i = 0; i < rows; i++) {
        float *out = tile->out + i / tile->heads * tile->out_stride + i % tile->heads * width;
        for (long d = 0; d < width; d += 8) *(Float8 *)(out + d) /= total[i];
    }
}
