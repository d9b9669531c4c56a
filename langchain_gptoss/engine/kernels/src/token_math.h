/* Arithmetic on one token: norm, router, SwiGLU, attention. Each level includes this file once, with NAME and LEVEL
 * defined, so that the compiler uses the level's instructions.
 *
 * All levels give the same bits: sums have a fixed number of parts, products and sums are rounded separately, and
 * exponentials are our own. Sizes are multiples of 16. */

/* Loads and stores through this type need no alignment. */
#ifndef GPTOSS_TOKEN_MATH_H
#define GPTOSS_TOKEN_MATH_H
#pragma GCC diagnostic ignored "-Wpsabi" /* about vectors as results of functions; these are all inlined */

typedef float Float8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t Whole8 __attribute__((vector_size(32), aligned(4), may_alias));

#define KEY_BLOCK 16   /* tokens in a block of the KV cache */
#define HEAD_GROUP 4   /* query heads that are multiplied at once: 8 accumulators */
#define HALF_MAX 65504.0f

/* Attention of some tokens of one sequence in one group of query heads, which share keys and values. */
typedef struct {
    const float *query;  /* [tokens][query_stride], the group's heads one after another */
    float *out;          /* [tokens][out_stride] */
    const uint16_t *keys, *values; /* the group's part of block 0: [width][KEY_BLOCK] and [KEY_BLOCK][width] */
    const int32_t *table;
    const float *sinks;  /* [heads] */
    float *scratch;      /* 2 * KEY_BLOCK * width + 2 * tokens * heads */
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

/* Ignores NaN. */
LEVEL float NAME(max8)(Float8 v, float largest) {
    for (int j = 0; j < 8; j++) largest = v[j] > largest ? v[j] : largest;
    return largest;
}

LEVEL float NAME(dot_product)(const float *a, const float *b, long count) {
    Float8 first = {0}, second = {0};
    for (long j = 0; j < count; j += 16) {
        first += *(const Float8 *)(a + j) * *(const Float8 *)(b + j);
        second += *(const Float8 *)(a + j + 8) * *(const Float8 *)(b + j + 8);
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

/* Adds one block of keys and values to `count` heads of one token, which sees the keys from `first` to before `end`. */
LEVEL void NAME(attend_block)(const AttentionTile *tile, const float *query, const float *keys, const float *values,
                              long first, long end, const int count, float *largest, float *total, float *out) {
    const long width = tile->width;
    const Whole8 lanes[2] = {{0, 1, 2, 3, 4, 5, 6, 7}, {8, 9, 10, 11, 12, 13, 14, 15}};
    Float8 scores[HEAD_GROUP][2] = {0};
    for (long d = 0; d < width; d++) {
        const Float8 low = *(const Float8 *)(keys + d * KEY_BLOCK), high = *(const Float8 *)(keys + d * KEY_BLOCK + 8);
#pragma GCC unroll 4
        for (int h = 0; h < count; h++) {
            scores[h][0] += query[h * width + d] * low;
            scores[h][1] += query[h * width + d] * high;
        }
    }
    float weights[HEAD_GROUP][KEY_BLOCK], shrink[HEAD_GROUP];
#pragma GCC unroll 4
    for (int h = 0; h < count; h++) {
        float new_largest = largest[h];
        for (int half = 0; half < 2; half++) {
            const Whole8 visible = (lanes[half] >= (int32_t)first) & (lanes[half] < (int32_t)end);
            const Whole8 lowest = (Whole8)((Float8){0} - INFINITY);
            scores[h][half] = (Float8)((visible & (Whole8)(scores[h][half] * tile->scaling)) | (~visible & lowest));
            new_largest = NAME(max8)(scores[h][half], new_largest);
        }
        shrink[h] = fast_exp(largest[h] - new_largest);
        const Float8 low = NAME(exp8)(scores[h][0] - new_largest), high = NAME(exp8)(scores[h][1] - new_largest);
        *(Float8 *)weights[h] = low;
        *(Float8 *)(weights[h] + 8) = high;
        total[h] = total[h] * shrink[h] + NAME(sum8)(low + high); /* a hidden key adds 2^-126 to at least 1: nothing */
        largest[h] = new_largest;
    }
    for (long d = 0; d < width; d += 16) {
        Float8 sums[HEAD_GROUP][2];
#pragma GCC unroll 4
        for (int h = 0; h < count; h++) {
            sums[h][0] = *(const Float8 *)(out + h * width + d) * shrink[h];
            sums[h][1] = *(const Float8 *)(out + h * width + d + 8) * shrink[h];
        }
        for (long key = first; key < end; key++) { /* hidden values are not read: they may be NaN */
            const Float8 low = *(const Float8 *)(values + key * width + d);
            const Float8 high = *(const Float8 *)(values + key * width + d + 8);
#pragma GCC unroll 4
            for (int h = 0; h < count; h++) {
                sums[h][0] += weights[h][key] * low;
                sums[h][1] += weights[h][key] * high;
            }
        }
#pragma GCC unroll 4
        for (int h = 0; h < count; h++) {
            *(Float8 *)(out + h * width + d) = sums[h][0];
            *(Float8 *)(out + h * width + d + 8) = sums[h][1];
        }
    }
}

/* Attention with an online softmax: the keys of one token are added block by block, from the first one that it sees.
 * A sink takes a share of the softmax and has no value. */
LEVEL_FUNCTION void NAME(attend)(const AttentionTile *tile) {
    const long width = tile->width, heads = tile->heads, last = tile->position + tile->tokens - 1;
    float *keys = tile->scratch, *values = keys + KEY_BLOCK * width;
    float *largest = values + KEY_BLOCK * width, *total = largest + tile->tokens * heads;
    for (long i = 0; i < tile->tokens * heads; i++) {
        largest[i] = tile->sinks[i % heads];
        total[i] = 1;
    }
    memset(tile->out, 0, (size_t)(tile->tokens * tile->out_stride) * 4);
    const long start = tile->window && tile->position >= tile->window ? tile->position + 1 - tile->window : 0;
    for (long b = start / KEY_BLOCK; b <= last / KEY_BLOCK; b++) {
        const long offset = tile->table[b] * tile->block_stride;
        NAME(load_halves)(tile->keys + offset, keys, KEY_BLOCK * width);
        NAME(load_halves)(tile->values + offset, values, KEY_BLOCK * width);
        for (long t = 0; t < tile->tokens; t++) {
            const long position = tile->position + t;
            const long oldest = tile->window && position >= tile->window ? position + 1 - tile->window : 0;
            const long first = oldest > b * KEY_BLOCK ? oldest - b * KEY_BLOCK : 0;
            const long end = position - b * KEY_BLOCK < KEY_BLOCK ? position + 1 - b * KEY_BLOCK : KEY_BLOCK;
            if (first >= end) continue;
            for (long h = 0; h < heads; h += HEAD_GROUP) {
                const float *query = tile->query + t * tile->query_stride + h * width;
                float *out = tile->out + t * tile->out_stride + h * width;
                float *max = largest + t * heads + h, *sum = total + t * heads + h;
                switch (heads - h) {
                case 1: NAME(attend_block)(tile, query, keys, values, first, end, 1, max, sum, out); break;
                case 2: NAME(attend_block)(tile, query, keys, values, first, end, 2, max, sum, out); break;
                case 3: NAME(attend_block)(tile, query, keys, values, first, end, 3, max, sum, out); break;
                default: NAME(attend_block)(tile, query, keys, values, first, end, HEAD_GROUP, max, sum, out);
                }
            }
        }
    }
    for (long i = 0; i < tile->tokens * heads; i++)
        for (long d = 0; d < width; d++) tile->out[i / heads * tile->out_stride + i % heads * width + d] /= total[i];
}
